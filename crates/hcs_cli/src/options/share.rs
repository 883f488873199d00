//! `--share`: a directory of this machine for a virtual machine.
//!
//! The document shares it ([`document`]), and the guest agent mounts it where a word of the kernel's command line says
//! ([`words`]).

use std::path::PathBuf;

use hcs_schema::{
    Failure,
    documents::{Plan9, Plan9Share},
};

use super::Surroundings;

/// The port that the guest dials: that of 9P.
const PORT: u32 = 564;
/// Flags of a share: read-only, and files as Linux has them.
const READ_ONLY: u32 = 1;
const LINUX: u32 = 4;

/// A share, as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    host: PathBuf,
    guest: String,
    read_only: bool,
}

/// Reads `HOST:GUEST`, with `:ro` or `:rw` behind it or not.
pub(super) fn parse(text: &str) -> Result<Share, String> {
    let (places, read_only) = match text.rsplit_once(':') {
        Some((places, "ro")) => (places, true),
        Some((places, "rw")) => (places, false),
        _ => (text, false),
    };
    let (host, guest) = places
        .rsplit_once(':')
        .ok_or("a directory of this machine and one of the guest were expected: HOST:GUEST")?;
    if host.is_empty() {
        return Err("the directory of this machine is empty".to_owned());
    }
    if !guest.starts_with('/') {
        return Err(format!("{guest:?} is no absolute path of the guest"));
    }
    Ok(Share {
        host: host.into(),
        guest: guest.to_owned(),
        read_only,
    })
}

/// The device that has `shares`; each is named by its number.
pub(super) fn document(
    shares: &[Share],
    surroundings: &Surroundings,
) -> Result<Option<Plan9>, Failure> {
    let share = |(number, share): (usize, &Share)| {
        let flags = if share.read_only { READ_ONLY } else { 0 };
        Ok(Plan9Share {
            name: Some(number.to_string()),
            access_name: Some(number.to_string()),
            path: Some(surroundings.absolute(&share.host)?),
            port: Some(PORT),
            flags: Some(flags | LINUX),
            ..Plan9Share::default()
        })
    };
    let all = shares.iter().enumerate().map(share);
    let all = all.collect::<Result<Vec<_>, Failure>>()?;
    Ok((!all.is_empty()).then_some(Plan9 { shares: Some(all) }))
}

/// The words of the kernel's command line that tell the agent where `shares` go, each behind a space.
pub(super) fn words(shares: &[Share]) -> String {
    let word = |(number, share): (usize, &Share)| {
        let guest: String = share.guest.bytes().map(encode).collect();
        let end = if share.read_only { ":ro" } else { "" };
        format!(" hcs.share={PORT}:{number}:{guest}{end}")
    };
    shares.iter().enumerate().map(word).collect()
}

/// A byte of a path. What ends a word or a field, or is for a kernel to read, is written as digits.
fn encode(byte: u8) -> String {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_has_two_places() {
        let share = |host: &str, guest: &str, read_only| {
            Ok(Share {
                host: host.into(),
                guest: guest.to_owned(),
                read_only,
            })
        };
        assert_eq!(parse("a:/b"), share("a", "/b", false));
        assert_eq!(parse("/a:b:/c:rw"), share("/a:b", "/c", false));
        assert_eq!(parse(".:/c d:ro"), share(".", "/c d", true));
        for none in ["", "a", "a:b", ":/b", "a:ro", "/a:/b:/c:x"] {
            assert!(parse(none).is_err(), "{none}");
        }
    }

    #[test]
    fn the_command_line_takes_any_path() {
        let shares = ["a:/data", "b:/a b%\u{e4}:ro"].map(|text| parse(text).unwrap());
        let expected = " hcs.share=564:0:/data hcs.share=564:1:/a%20b%25%c3%a4:ro";
        assert_eq!(words(&shares), expected);
    }
}
