//! [`ExportLayerOptions`].

document! {
    /// How to export a layer. Read by `HcsExportLayer`.
    ExportLayerOptions {
        /// Whether it is a scratch layer.
        is_writable_layer: bool = "IsWritableLayer", 2.1;
    }
}
