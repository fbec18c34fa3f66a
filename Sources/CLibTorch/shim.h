// libtorch has no C header: this module only carries the flags of libtorch.pc.
