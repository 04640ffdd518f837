// flanneld, one pinned release: ../build.sh builds it in a copy, by the versions that its own go.mod names.
module podveil.io/tests/kube/flannel

go 1.26.0

require github.com/flannel-io/flannel v0.28.10
