//! `hcs completion`: what shells complete.

use clap::{Args, Command, ValueEnum};
use clap_complete::generate;

use crate::{failure::Stop, output::print};

/// Print the script by which a shell completes verbs and options of hcs
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hcs completion bash > /etc/bash_completion.d/hcs
  hcs completion zsh > ~/.zfunc/_hcs                     in a directory of fpath
  hcs completion fish > ~/.config/fish/completions/hcs.fish")]
pub(crate) struct Completion {
    /// The shell
    shell: Shell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Completion {
    /// `cli` is the whole command line.
    pub(crate) fn run(self, mut cli: Command) -> Result<u8, Stop> {
        let shell = match self.shell {
            Shell::Bash => clap_complete::Shell::Bash,
            Shell::Zsh => clap_complete::Shell::Zsh,
            Shell::Fish => clap_complete::Shell::Fish,
        };
        let mut script = Vec::new();
        generate(shell, &mut cli, "hcs", &mut script);
        print(&String::from_utf8_lossy(&script))?;
        Ok(0)
    }
}
