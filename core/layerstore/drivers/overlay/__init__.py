"""The overlay driver: layers as folders that the kernel or fuse-overlayfs stacks."""
