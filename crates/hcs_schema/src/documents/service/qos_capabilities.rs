//! [`QoSCapabilities`].

document! {
    /// Which limits the service can enforce.
    QoSCapabilities {
        /// Whether those on processors.
        processor_qos_supported: bool = "ProcessorQoSSupported", 2.1;
    }
}
