# Every image that a release publishes:  docker buildx bake -f images/docker-bake.hcl
# The build contexts come first:         images/contexts.sh build/images
#
# Tags are the names in the backends' specs: REGISTRY/BACKEND:VERSION-cudaMAJOR and …-cpu, VERSION being llem's own. What is
# inside beyond that (engine, its version, CUDA with its minor) stands in labels; `llem images list` shows them.

variable "REGISTRY" {
  default = "ghcr.io/llenergymeasure"
}

variable "VERSION" {
  default = "0.1.0"
}

variable "CUDA_MAJOR" {
  default = "13"
}

variable "CONTEXTS" {
  default = "build/images"
}

variable "REVISION" {
  default = ""
}

variable "SOURCE" {
  default = ""
}

group "default" {
  targets = ["image"]
}

target "image" {
  matrix = {
    backend = ["pytorch", "vllm"]
    kind    = ["cuda", "cpu"]
  }
  name      = "${backend}-${kind}"
  context   = "${CONTEXTS}/${backend}"
  platforms = ["linux/amd64"]
  tags      = ["${REGISTRY}/${backend}:${VERSION}-${kind == "cuda" ? "cuda${CUDA_MAJOR}" : kind}"]
  args = {
    TARGET   = kind
    REVISION = REVISION
    SOURCE   = SOURCE
    CREATED  = timestamp()
  }
}
