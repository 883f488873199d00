//! What images of others may cost, and what of them an ordinary user gets.

use std::time::Duration;

use clap::Args;
use hcs_storage::{
    Limits,
    layer::{Options, Rights, Special},
};

use super::{count, limit::seconds, memory::megabytes};

/// What an archive may cost.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct CostOptions {
    /// The most bytes that an archive, or all layers of an image, may have after decompression, in megabytes or as 2G
    /// [default: 64G]
    #[arg(long, value_name = "MB", value_parser = megabytes)]
    max_size: Option<u64>,

    /// The most files that an archive, or all layers of an image, may have, directories and links included [default:
    /// 2000000]
    #[arg(long, value_name = "N", value_parser = count)]
    max_files: Option<u64>,

    /// The most names that a path in it may have [default: 256]
    #[arg(long, value_name = "N", value_parser = count)]
    max_depth: Option<u64>,

    /// The most seconds that reading and unpacking it may take [default: 3600]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    max_time: Option<Duration>,
}

impl CostOptions {
    /// The words that give the same options to a further program.
    pub(crate) fn words(self) -> Vec<String> {
        let numbers = [
            ("--max-size", self.max_size.map(|size| size.to_string())),
            ("--max-files", self.max_files.map(|files| files.to_string())),
            ("--max-depth", self.max_depth.map(|depth| depth.to_string())),
            (
                "--max-time",
                self.max_time.map(|time| time.as_secs_f64().to_string()),
            ),
        ];
        let given = numbers.into_iter().filter_map(|(name, number)| {
            let number = number?;
            Some([name.to_owned(), number])
        });
        given.flatten().collect()
    }

    pub(crate) fn limits(self) -> Limits {
        let usual = Limits::default();
        let bytes = self
            .max_size
            .map(|megabytes| megabytes.saturating_mul(1 << 20));
        let depth = self
            .max_depth
            .map(|depth| usize::try_from(depth).unwrap_or(usize::MAX));
        Limits {
            bytes: bytes.unwrap_or(usual.bytes),
            entries: self.max_files.unwrap_or(usual.entries),
            depth: depth.unwrap_or(usual.depth),
            time: self.max_time.unwrap_or(usual.time),
            ..usual
        }
    }
}

/// What an ordinary user gets of what only root may have.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct PrivilegedOption {
    /// As an ordinary user, leave out device nodes, set-user-ID and set-group-ID bits and file capabilities of an
    /// image; one that has them is refused otherwise
    #[arg(long)]
    omit_privileged: bool,
}

/// How an image comes into a store.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct UnpackingOptions {
    #[command(flatten)]
    pub(crate) cost: CostOptions,

    #[command(flatten)]
    pub(crate) privileged: PrivilegedOption,
}

impl UnpackingOptions {
    pub(crate) fn options(self) -> Options {
        let rights = match Rights::of_caller() {
            Rights::User(_) if self.privileged.omit_privileged => Rights::User(Special::Omit),
            rights => rights,
        };
        Options {
            limits: self.cost.limits(),
            rights,
        }
    }

    /// The same as words of a command line.
    pub(crate) fn words(self) -> Vec<String> {
        let omit = self.privileged.omit_privileged;
        let omit = omit.then(|| "--omit-privileged".to_owned());
        self.cost.words().into_iter().chain(omit).collect()
    }

    /// The first one that was given.
    pub(crate) fn given(self) -> Option<&'static str> {
        let cost = self.cost;
        let given = [
            ("--max-size", cost.max_size.is_some()),
            ("--max-files", cost.max_files.is_some()),
            ("--max-depth", cost.max_depth.is_some()),
            ("--max-time", cost.max_time.is_some()),
            ("--omit-privileged", self.privileged.omit_privileged),
        ];
        given
            .into_iter()
            .find_map(|(name, given)| given.then_some(name))
    }
}
