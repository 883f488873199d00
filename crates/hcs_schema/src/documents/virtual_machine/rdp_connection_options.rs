//! [`RdpConnectionOptions`].

document! {
    /// The users who may connect to a screen by remote desktop, and the pipe for that.
    RdpConnectionOptions {
        /// The users.
        access_sids: Vec<String> = "AccessSids", 2.1;
        /// The pipe to connect to.
        named_pipe: String = "NamedPipe", 2.1;
    }
}
