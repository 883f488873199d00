//! A terminal, and a person who types at each prompt.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::fd::OwnedFd,
    thread::{self, JoinHandle},
};

use rustix::{
    fs::{Mode, OFlags},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
};

/// A terminal that waits for programs.
#[derive(Debug)]
pub(super) struct Terminal {
    name: String,
    /// While it is open, the screen has not seen the end.
    open: OwnedFd,
    person: JoinHandle<String>,
}

impl Terminal {
    /// Makes one, with a person who waits for `prompt` at the end of what is shown, and then types the next of `keys`.
    pub(super) fn new(prompt: &'static str, keys: Vec<String>) -> Self {
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let open = rustix::fs::open(&*name, flags, Mode::empty()).unwrap();
        let person = thread::spawn(move || type_in(File::from(master), prompt, keys));
        Self { name, open, person }
    }

    /// Its path.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What was shown, once all programs have closed it.
    pub(super) fn screen(self) -> String {
        drop(self.open);
        self.person.join().unwrap()
    }
}

fn type_in(mut master: File, prompt: &str, keys: Vec<String>) -> String {
    let mut keys = keys.into_iter();
    let (mut shown, mut part) = (Vec::new(), [0; 4096]);
    let mut seen = 0;
    // The end of a terminal is an error (EIO) to the other side.
    while let Ok(count @ 1..) = master.read(&mut part) {
        shown.extend_from_slice(&part[..count]);
        let screen = plain(&shown);
        // A prompt is answered once: what is typed is shown behind it.
        if screen.len() > seen && screen.ends_with(prompt) {
            seen = screen.len();
            if let Some(line) = keys.next() {
                master.write_all(format!("{line}\r").as_bytes()).unwrap();
            }
        }
    }
    plain(&shown)
}

/// The text of what was shown: lines end with a newline, and what moves or colours (`ESC [ ... letter`) is left out.
fn plain(shown: &[u8]) -> String {
    let text = String::from_utf8_lossy(shown).replace("\r\n", "\n");
    let mut parts = text.split("\u{1b}[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|letter: char| ('@'..='~').contains(&letter));
        plain.push_str(end.map_or("", |end| &part[end + 1..]));
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_and_colours_is_no_text() {
        assert_eq!(plain(b"a\x1b[1;32mb\x1b[0m\r\n\x1b[6n# "), "ab\n# ");
    }
}
