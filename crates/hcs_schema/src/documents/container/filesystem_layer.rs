//! [`FilesystemLayer`].

use crate::shape::format::Guid;

document! {
    /// A layer of a Windows container in its low-level form.
    FilesystemLayer {
        /// Its id.
        identifier: String as Guid = "identifier", 2.3;
        /// Its directory.
        path: String = "path", 2.3;
    }
}
