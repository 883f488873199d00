//! The Linux container engine and its launcher.
