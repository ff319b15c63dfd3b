"""The Linux dataplane where there is no BPF: the kernel routes, and user space decides where to."""
