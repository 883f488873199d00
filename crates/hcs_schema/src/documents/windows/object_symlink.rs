//! [`ObjectSymlink`], [`ObjectSymlinkScope`].

document! {
    /// A link among Windows object names.
    ObjectSymlink {
        /// Its name.
        name: String = "name", 2.3;
        /// Where it leads.
        path: String = "path", 2.3;
        /// Where the path starts.
        scope: ObjectSymlinkScope = "scope", 2.3;
        /// The object whose rights it copies.
        pathtoclone: String = "pathtoclone", 2.3;
        /// Rights to it.
        access_mask: u32 = "access_mask", 2.3;
    }
}

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
