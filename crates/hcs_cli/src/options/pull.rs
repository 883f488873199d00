//! `--pull`: when an image is got from its registry.

use clap::ValueEnum;

/// When an image is got from its registry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Pull {
    /// Where the store has none of that name for the machine
    #[default]
    Missing,
    /// Each time, as the name may stand for another image by now
    Always,
    /// Not at all
    Never,
}

impl Pull {
    /// The word of the command line.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Always => "always",
            Self::Never => "never",
        }
    }
}
