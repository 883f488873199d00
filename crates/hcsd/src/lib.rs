//! The host compute service.
