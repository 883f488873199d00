//! [`MigrationTransferOptions`].

use crate::documents::MigrationOrigin;

document! {
    /// How memory is sent. Read by `HcsStartLiveMigrationTransfer`.
    MigrationTransferOptions {
        /// Which side this is.
        origin: MigrationOrigin = "Origin", 2.8;
    }
}
