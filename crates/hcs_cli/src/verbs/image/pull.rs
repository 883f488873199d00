//! `hcs image pull`.

use clap::Args;
use hcs_registry::Reference;
use hcs_schema::Failure;
use hcs_storage::image::document::Platform;

use super::{CostOptions, PrivilegedOption, StoreOption, ways::told};
use crate::{
    options::image::platform,
    pulling::{self, Asked, reference},
};

/// Get an image of a registry
///
/// A name without a registry is one of docker.io: debian:12 is docker.io/library/debian:12. Of an image for several
/// kinds of machines the one for this machine is taken. Digests and sizes are checked while contents come; an image
/// that is refused leaves nothing. What a killed pull has left is removed by the next `hcs image pull`, `load`,
/// `import`, `remove` or `prune`, or `hcs commit`, that finds no other process in the store. Whole layers of a pull
/// whose connection broke are kept for a day, so that the next one goes on there; `hcs image prune` removes them.
///
/// Credentials are those of docker and podman: auth.json and config.json, with their credential helpers. Mirrors, and
/// registries without TLS, are those of /etc/containers/registries.conf or ~/.config/containers/registries.conf;
/// certificates of single registries are in /etc/containers/certs.d/HOST or /etc/docker/certs.d/HOST. HTTPS_PROXY,
/// HTTP_PROXY and NO_PROXY are used. A registry that says nothing for 30 seconds is given up.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hcs image pull debian:12
  hcs image pull registry.example:5000/team/tool
  hcs image pull debian@sha256:0123...                 that manifest and no other
  hcs image pull --platform linux/arm64 debian:12
  hcs image pull --insecure localhost:5000/tool")]
pub(super) struct Pull {
    /// The image: [HOST/]NAME[:TAG][@DIGEST]
    #[arg(value_parser = reference, value_name = "IMAGE")]
    image: Reference,

    /// The kind of machine whose image is taken, as linux/arm64 or linux/arm/v7 [default: this machine]
    #[arg(long, value_name = "OS/ARCH", value_parser = platform)]
    platform: Option<Platform>,

    /// Allow a registry with a certificate that is not known, or without TLS
    #[arg(long)]
    insecure: bool,

    /// Show no progress, which is shown on a terminal only
    #[arg(long, short)]
    quiet: bool,

    /// Print what was pulled as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten, next_help_heading = "Limits")]
    cost: CostOptions,

    #[command(flatten)]
    privileged: PrivilegedOption,

    #[command(flatten)]
    store: StoreOption,
}

impl Pull {
    pub(super) fn run(self) -> Result<(), Failure> {
        let (place, options) = self.store.place_for(self.privileged, self.cost)?;
        let asked = Asked {
            platform: self.platform,
            insecure: self.insecure,
            quiet: self.quiet,
        };
        let loaded = pulling::pull(&place, options, &self.image, &asked)?;
        told(&[loaded], self.json)
    }
}
