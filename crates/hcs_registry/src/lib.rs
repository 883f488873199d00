//! Images from registries into a store of [`hcs_storage`], as the OCI distribution specification has it.
//!
//! A registry may be hostile, as may be each host on the way to it. All that it says is bounded in size and time. Each
//! content is checked against its digest and size while it is written. Credentials go to the registry that they are
//! for, and to the place that it names for tokens, never to a host that a redirect names.
//!
//! 1. [`mod@reference`]: which image of which registry.
//! 2. [`settings`]: mirrors, and registries without TLS, from `registries.conf`.
//! 3. [`credentials`]: what docker and podman have kept, and their helpers.
//! 4. [`challenge`]: what a registry asks for before it answers.
//! 5. [`connection`]: requests of one host, with limits and redirects. 6. [`session`]: those of one registry, with a
//!    token.
//! 7. [`blob`]: a content as a stream, which goes on where it broke off. 8. [`mod@pull`]: all of it for one image.
//! 9. [`patience`]: answers after which a request is made again. 10. [`error`]: what can go wrong.
//!
//! Functions here block, and may be called on any thread. The crate `oci-client` (0.18) is not used. It is asynchronous
//! over `reqwest`, and would bring tokio and hyper into `hcs`. It follows redirects by the default policy of `reqwest`,
//! to any host and from TLS to plain HTTP; here each one is looked at. It reads manifests, configurations and the
//! answers of servers of tokens into memory before it looks at them, and has no option for their size.

mod blob;
mod challenge;
mod connection;
mod credentials;
mod error;
mod patience;
mod pull;
mod reference;
mod session;
mod settings;

pub use credentials::CredentialFiles;
pub use error::RegistryError;
pub use pull::{Access, Open, Progress, pull};
pub use reference::Reference;
pub use settings::Settings;
