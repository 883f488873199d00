//! [`SystemQuery`].

use crate::documents::SystemType;

document! {
    /// Which compute systems to enumerate; a list that is absent or empty lets all through. Read by
    /// `HcsEnumerateComputeSystems`.
    SystemQuery {
        /// Ids to report.
        ids: Vec<String> = "Ids", 2.1;
        /// Names to report.
        names: Vec<String> = "Names", 2.1;
        /// Kinds to report.
        types: Vec<SystemType> = "Types", 2.1;
        /// Owners to report.
        owners: Vec<String> = "Owners", 2.1;
    }
}
