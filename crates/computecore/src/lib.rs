//! ComputeCore: the C ABI of the Host Compute Service.
