//! [`ResourceLimit`].

document! {
    /// A limit on a resource of each single process (our extension): one of `getrlimit(2)`.
    ResourceLimit, checked by crate::rules::privileges::resource_limit {
        /// Which one, such as `nofile`.
        name: String = "Name", "extension";
        /// The value in force; no limit without it. Units are those of `getrlimit(2)`.
        soft: u64 = "Soft", "extension";
        /// How far the process may raise it by itself; the same as `Soft` without it.
        hard: u64 = "Hard", "extension";
    }
}
