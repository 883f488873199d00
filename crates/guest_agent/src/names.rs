//! The names of other containers, in the system's `/etc/hosts`.
//!
//! The host says what they are, as lines of `hosts(5)`; they stand between two lines of the agent's. All other lines
//! are those of the image and of the system's processes, and stay. The file is one that came with the agent: it is
//! never looked for by its path, as root of the system could lead that to any file that the agent may write and it may
//! not.
//!
//! The file is written in place, since programs and mounts know it by its inode. It is written at once and never
//! shorter than before, and cut off afterwards: a program that reads it meanwhile finds whole lines. Where it cannot be
//! written as a whole, as on a full file system, it gets back what it had.

use std::os::fd::BorrowedFd;

use hcs_schema::{Failure, HResult};
use hcs_wire::{errno, guest::MAX_NAMES_BYTES};
use rustix::{
    fs::ftruncate,
    io::{Errno, pread, pwrite},
};

/// The first and the last line of what is the agent's.
const BEGIN: &[u8] = b"# Names in the networks of this container, as hcs keeps them:";
const END: &[u8] = b"# The end of these names.";

/// The largest file that is read and made: the system's processes may have written anything into it. An image's own
/// file and as many names as there can be fit.
const MOST_BYTES: usize = 40 << 10;

/// Writes these names in place of those that were written before.
///
/// # Errors
/// There is no such file, it has become too large, or the kernel refused.
pub(crate) fn write(file: Option<BorrowedFd<'_>>, names: &str) -> Result<(), Failure> {
    let file = file.ok_or_else(|| {
        let message = "the container was made without a file for the names of its networks";
        Failure::new(HResult::NOT_SUPPORTED, message)
    })?;
    if names.len() > MAX_NAMES_BYTES {
        let message = format!(
            "the names have {} bytes; at most {MAX_NAMES_BYTES} were expected",
            names.len()
        );
        return Err(Failure::new(HResult::E_INVALIDARG, message));
    }
    let refused = |errno| errno::failed("the names of networks cannot be written", errno);
    let own = read(file).map_err(refused)?;
    let text = replaced(&own, names);
    match text == own {
        true => Ok(()),
        false if text.len() > MOST_BYTES => Err(refused(Errno::FBIG)),
        false => put(file, &text, &own).map_err(refused),
    }
}

fn read(file: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
    let mut text = vec![0; MOST_BYTES + 1];
    let mut length = 0;
    loop {
        let rest = text.get_mut(length..).unwrap_or_default();
        match pread(file, rest, length as u64)? {
            0 => break,
            count => length += count,
        }
        if length > MOST_BYTES {
            return Err(Errno::FBIG);
        }
    }
    text.truncate(length);
    Ok(text)
}

/// Writes `text` in place of `own`; where that fails, `own` stands there again.
fn put(file: BorrowedFd<'_>, text: &[u8], own: &[u8]) -> Result<(), Errno> {
    let mut whole = text.to_vec();
    whole.resize(text.len().max(own.len()), b'\n');
    let written = overwrite(file, &whole).and_then(|()| ftruncate(file, text.len() as u64));
    // Names without their last line would be taken for the system's own. The file has room for what it had.
    written.inspect_err(|_| {
        let _restored = overwrite(file, own).and_then(|()| ftruncate(file, own.len() as u64));
    })
}

fn overwrite(file: BorrowedFd<'_>, bytes: &[u8]) -> Result<(), Errno> {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match pwrite(file, rest, written as u64)? {
            0 => return Err(Errno::NOSPC),
            count => written += count,
        }
    }
    Ok(())
}

/// `own` with these names in place of those that it has, at its end. A second time changes nothing: the system's root
/// may have written the agent's lines more than once, and none of them stays.
pub(crate) fn replaced(own: &[u8], names: &str) -> Vec<u8> {
    let mut text = own.to_vec();
    while let Some((begin, end)) = section(&text) {
        text.drain(begin..end);
    }
    // A name that reads as a line of the agent's would end them too early.
    let is_own = |line: &&str| [BEGIN, END].contains(&line.as_bytes());
    let mut names = names.split_terminator('\n').filter(|line| !is_own(line));
    let Some(first) = names.next() else {
        return text;
    };
    if text.last().is_some_and(|last| *last != b'\n') {
        text.push(b'\n');
    }
    let lines = [BEGIN, first.as_bytes()].into_iter();
    let lines = lines.chain(names.map(str::as_bytes)).chain([END]);
    for line in lines {
        text.extend_from_slice(line);
        text.push(b'\n');
    }
    text
}

/// Where the last names stand, with the lines around them.
fn section(text: &[u8]) -> Option<(usize, usize)> {
    let (mut at, mut begin, mut found) = (0, None, None);
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let after = at + line.len();
        let words = line.strip_suffix(b"\n").unwrap_or(line);
        if words == BEGIN {
            begin = Some(at);
        } else if words == END {
            found = begin.take().map(|begin| (begin, after)).or(found);
        }
        at = after;
    }
    found
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::{Read as _, Seek as _, Write as _},
        os::fd::AsFd as _,
    };

    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

    use super::*;

    fn text(own: &str, names: &str) -> String {
        String::from_utf8(replaced(own.as_bytes(), names)).unwrap()
    }

    #[test]
    fn names_replace_names_and_other_lines_stay() {
        let one = text("127.0.0.1 localhost", "10.0.0.2\ta\n");
        assert!(one.starts_with("127.0.0.1 localhost\n# Names"), "{one}");
        assert!(one.contains(":\n10.0.0.2\ta\n# The end"), "{one}");
        let added = format!("{one}192.0.2.1 mine\n");
        let two = text(&added, "10.0.0.3\tb\n");
        assert!(
            two.starts_with("127.0.0.1 localhost\n192.0.2.1 mine\n# Names"),
            "{two}"
        );
        assert!(
            two.contains("\n10.0.0.3\tb\n") && !two.contains("10.0.0.2"),
            "{two}"
        );
        assert_eq!(text(&two, ""), "127.0.0.1 localhost\n192.0.2.1 mine\n");
        assert_eq!(text("own", ""), "own");
    }

    #[test]
    fn lines_that_the_system_has_damaged_are_its_own() {
        let whole = text("first\n", "10.0.0.2\ta\n");
        let [begin, end] = [BEGIN, END].map(|line| format!("{}\n", str::from_utf8(line).unwrap()));
        let (begin, end) = (begin.as_str(), end.as_str());
        // Without an end it cannot be told what else is meant.
        let open = whole.replace(end, "");
        assert_eq!(text(&open, ""), open);
        // A second beginning does not reach over the system's own lines.
        let stray = format!("{begin}mine\n{whole}");
        assert_eq!(text(&stray, ""), format!("{begin}mine\nfirst\n"));
        assert_eq!(text(end, "x"), format!("{end}{begin}x\n{end}"));
    }

    #[test]
    fn nothing_makes_the_agents_lines_stay() {
        let (begin, end) = (str::from_utf8(BEGIN).unwrap(), str::from_utf8(END).unwrap());
        let one = text("first\n", "10.0.0.2\ta\n");
        let two = format!("{one}mine\n{one}");
        assert_eq!(text(&two, ""), "first\nmine\nfirst\n");
        assert_eq!(
            text(one.trim_end(), ""),
            "first\n",
            "without a last newline"
        );
        let told = text("first\n", &format!("{end}\n10.0.0.2\ta\n{begin}\n"));
        assert_eq!(told, one);
        assert_eq!(text("first\n", end), "first\n");
        for own in [&one, &two, begin, end, &format!("{begin}\nx\n{end}")] {
            for names in ["", "\n", end, begin, "10.0.0.2\ta"] {
                let once = text(own, names);
                assert_eq!(text(&once, names), once, "{own:?} {names:?}");
            }
        }
    }

    fn contents(file: &mut File) -> String {
        let mut text = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn the_file_itself_is_changed_in_place() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"first\n").unwrap();
        let long = "10.0.0.2\ta\n".repeat(100);
        write(Some(file.as_fd()), &long).unwrap();
        assert_eq!(contents(&mut file), text("first\n", &long));
        write(Some(file.as_fd()), "10.0.0.3\tb\n").unwrap();
        assert_eq!(contents(&mut file), text("first\n", "10.0.0.3\tb\n"));
        write(Some(file.as_fd()), "").unwrap();
        assert_eq!(contents(&mut file), "first\n");
    }

    #[test]
    fn what_cannot_be_written_as_a_whole_leaves_the_file_as_it_was() {
        // It takes what goes into the pages that it has, and no more.
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let mut file = File::from(memfd_create("hosts", flags).unwrap());
        let own = text("", "10.0.0.2\ta\n") + &"192.0.2.1 mine\n".repeat(350);
        assert!(own.len() > 4096);
        file.write_all(own.as_bytes()).unwrap();
        fcntl_add_seals(&file, SealFlags::GROW).unwrap();
        let long = "10.0.0.3\tb\n".repeat(1000);
        let refused = write(Some(file.as_fd()), &long).unwrap_err();
        assert!(refused.message.contains("cannot be written"), "{refused}");
        assert_eq!(contents(&mut file), own);
        // What fits goes.
        write(Some(file.as_fd()), "10.0.0.3\tb\n").unwrap();
        assert_eq!(contents(&mut file), text(&own, "10.0.0.3\tb\n"));
    }

    #[test]
    fn what_is_too_large_is_left_as_it_is() {
        let mut file = tempfile::tempfile().unwrap();
        let large = "x".repeat(MOST_BYTES + 1);
        file.write_all(large.as_bytes()).unwrap();
        let refused = write(Some(file.as_fd()), "10.0.0.2\ta\n").unwrap_err();
        assert!(refused.message.contains("cannot be written"), "{refused}");
        assert_eq!(contents(&mut file), large);
        let full = "x".repeat(MOST_BYTES - 1);
        file.set_len(0).unwrap();
        file.rewind().unwrap();
        file.write_all(full.as_bytes()).unwrap();
        write(Some(file.as_fd()), "10.0.0.2\ta\n").unwrap_err();
        assert_eq!(contents(&mut file), full);
        let refused = write(Some(file.as_fd()), &large).unwrap_err();
        assert_eq!(refused.hresult, HResult::E_INVALIDARG);
        assert_eq!(write(None, "").unwrap_err().hresult, HResult::NOT_SUPPORTED);
    }
}
