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
  # SGLang has none for CPUs: its kernels for them are on no index.
  matrix = {
    image = ["pytorch-cuda", "pytorch-cpu", "vllm-cuda", "vllm-cpu", "sglang-cuda"]
  }
  name      = image
  context   = "${CONTEXTS}/${split("-", image)[0]}"
  platforms = ["linux/amd64"]
  tags      = ["${REGISTRY}/${split("-", image)[0]}:${VERSION}-${split("-", image)[1] == "cuda" ? "cuda${CUDA_MAJOR}" : "cpu"}"]
  args = {
    TARGET   = split("-", image)[1]
    REVISION = REVISION
    SOURCE   = SOURCE
    CREATED  = timestamp()
  }
}
