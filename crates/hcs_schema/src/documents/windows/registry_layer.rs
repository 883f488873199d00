//! [`RegistryLayer`].

use crate::shape::format::Guid;

document! {
    /// A layer of a hive.
    RegistryLayer {
        /// The host's hive it is made from.
        hosthive: String = "hosthive", 2.3;
        /// The file it is made from.
        filepath: String = "filepath", 2.3;
        /// Its id.
        identifier: String as Guid = "identifier", 2.3;
        /// Whether it is only read.
        readonly: bool = "readonly", 2.3;
        /// Whether it cannot change.
        immutable: bool = "immutable", 2.3;
        /// Whether it is trusted as those below are.
        inherittrustclass: bool = "inherittrustclass", 2.3;
        /// Whether it is trusted.
        trustedhive: bool = "trustedhive", 2.0;
        /// Whether writes reach the file at once.
        writethrough: bool = "writethrough", 2.3;
        /// A handle that is only used in memory.
        fileaccesstoken: u64 = "fileaccesstoken", 2.3;
    }
}
