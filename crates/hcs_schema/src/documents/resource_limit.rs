//! [`ResourceLimit`].

document! {
    /// A limit on what each process may use by itself (our extension): one of `getrlimit(2)`.
    ResourceLimit, checked by crate::rules::privileges::resource_limit {
        /// Which one, such as `nofile`.
        name: String = "Name", "extension";
        /// What is in force; no limit without it. Units are those of `getrlimit(2)`.
        soft: u64 = "Soft", "extension";
        /// How far the process may raise it by itself; the same as `Soft` without it.
        hard: u64 = "Hard", "extension";
    }
}
