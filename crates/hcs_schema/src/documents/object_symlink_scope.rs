//! [`ObjectSymlinkScope`].

schema_enum! {
    /// Where the path of a link starts.
    ObjectSymlinkScope {
        /// In the container.
        Local = "Local", 2.3;
        /// On the host.
        Global = "Global", 2.3;
        /// On the host, which it is then looked up as.
        GlobalDropSilo = "GlobalDropSilo", 2.3;
    }
}
