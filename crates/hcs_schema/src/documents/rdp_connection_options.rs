//! [`RdpConnectionOptions`].

document! {
    /// Who may connect to a screen by remote desktop, and where.
    RdpConnectionOptions {
        /// The users.
        access_sids: Vec<String> = "AccessSids", 2.1;
        /// The pipe to connect to.
        named_pipe: String = "NamedPipe", 2.1;
    }
}
