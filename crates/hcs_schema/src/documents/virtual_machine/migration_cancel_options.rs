//! [`MigrationCancelOptions`].

use crate::documents::MigrationOrigin;

document! {
    /// Gives a move up. Read by `HcsCancelLiveMigration`.
    MigrationCancelOptions {
        /// Which side this is.
        origin: MigrationOrigin = "Origin", 2.8;
    }
}
