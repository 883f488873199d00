//! Extended headers of POSIX archives: `LENGTH KEY=VALUE\n` records.
//!
//! Access and change times are left out on purpose: a layer does not keep them. Unknown keys are left out as POSIX
//! says.

use std::collections::BTreeMap;

use super::{access_list, entry::Timestamp, sparse::SparseRecords};
use crate::{Refusal, error::shown};

/// Attributes, as most tools write them.
const XATTR: &[u8] = b"SCHILY.xattr.";
const BAD: Refusal = Refusal::BadArchive("an extended header cannot be read");

/// What an extended header says about the next entry.
#[derive(Debug, Default)]
pub(super) struct Records {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) mtime: Option<Timestamp>,
    pub(super) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(super) sparse: SparseRecords,
    /// Attributes in a form that is not read: access lists of NFS, or with names alone, the attributes of libarchive.
    pub(super) unread: u64,
    /// Access lists as text.
    lists: [Option<Vec<u8>>; 2],
}

impl Records {
    /// Reads the records of one header.
    ///
    /// # Errors
    /// They cannot be read, or say something twice.
    pub(super) fn parse(text: &[u8]) -> Result<Self, Refusal> {
        let mut records = Self::default();
        each(text, |key, value| records.take(key, value))?;
        records.take_lists()?;
        Ok(records)
    }

    /// Makes attributes of access lists that are there as text.
    fn take_lists(&mut self) -> Result<(), Refusal> {
        let lists = std::mem::take(&mut self.lists);
        for (text, (_, name)) in lists.into_iter().zip(access_list::KINDS) {
            // GNU tar writes an empty default list for a directory that has an access list alone.
            let Some(text) = text.filter(|text| !text.is_empty()) else {
                continue;
            };
            match (access_list::attribute(&text)?, self.xattrs.get(name)) {
                // Programs that read one of the two would make different files.
                (Some(list), Some(other)) if list != *other => {
                    return Err(Refusal::BadArchive(
                        "an access list as text and the attribute of it differ",
                    ));
                }
                (Some(_), Some(_)) | (None, Some(_)) => {}
                (Some(list), None) => self.attribute(name, &list)?,
                (None, None) => self.unread += 1,
            }
        }
        Ok(())
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), Refusal> {
        match key {
            b"path" => once(&mut self.path, value.to_vec()),
            b"linkpath" => once(&mut self.link, value.to_vec()),
            b"size" => once(&mut self.size, decimal(value)?),
            b"uid" => once(&mut self.uid, id(value)?),
            b"gid" => once(&mut self.gid, id(value)?),
            b"mtime" => once(&mut self.mtime, timestamp(value)?),
            b"SCHILY.acl.access" => once(&mut self.lists[0], value.to_vec()),
            b"SCHILY.acl.default" => once(&mut self.lists[1], value.to_vec()),
            _ if key.starts_with(b"GNU.sparse.") => self.sparse.take(&key[11..], value),
            _ if key.starts_with(XATTR) => self.attribute(&key[XATTR.len()..], value),
            _ if key.starts_with(b"SCHILY.acl.") || key.starts_with(b"LIBARCHIVE.xattr.") => {
                self.unread += 1;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn attribute(&mut self, name: &[u8], value: &[u8]) -> Result<(), Refusal> {
        if name.is_empty() || name.len() > 255 || name.contains(&0) || value.len() > 64 << 10 {
            return Err(Refusal::Attribute { name: shown(name) });
        }
        match self.xattrs.insert(name.to_vec(), value.to_vec()) {
            None => Ok(()),
            Some(_) => Err(BAD),
        }
    }
}

/// Whether a global header says nothing that would change entries: only comments.
pub(super) fn is_comment(text: &[u8]) -> Result<bool, Refusal> {
    let mut only = true;
    each(text, |key, _| {
        only &= key == b"comment";
        Ok(())
    })?;
    Ok(only)
}

/// Calls `take` with each key and value.
fn each(
    mut text: &[u8],
    mut take: impl FnMut(&[u8], &[u8]) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    while !text.is_empty() {
        let space = text.iter().take(20).position(|byte| *byte == b' ');
        let space = space.ok_or(BAD)?;
        let length = usize::try_from(decimal(&text[..space])?).map_err(|_| BAD)?;
        let record = text.get(space + 1..length).ok_or(BAD)?;
        let record = record.strip_suffix(b"\n").ok_or(BAD)?;
        let equals = record.iter().position(|byte| *byte == b'=').ok_or(BAD)?;
        take(&record[..equals], &record[equals + 1..])?;
        text = &text[length..];
    }
    Ok(())
}

/// Adds a record to `text`. Its length counts its own digits.
pub(super) fn push(text: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    text.extend_from_slice(length.to_string().as_bytes());
    text.push(b' ');
    text.extend_from_slice(key);
    text.push(b'=');
    text.extend_from_slice(value);
    text.push(b'\n');
}

/// The key of an extended attribute.
pub(super) fn attribute_key(name: &[u8]) -> Vec<u8> {
    [XATTR, name].concat()
}

/// Writes `time` as seconds with a fraction.
pub(super) fn time_text(time: Timestamp) -> String {
    let Timestamp {
        seconds,
        nanoseconds,
    } = time;
    if nanoseconds == 0 {
        return seconds.to_string();
    }
    // What is before 1970 counts down from the second after it.
    let (sign, whole, fraction) = if seconds < 0 {
        (
            "-",
            (seconds + 1).unsigned_abs(),
            1_000_000_000 - nanoseconds,
        )
    } else {
        ("", seconds.unsigned_abs(), nanoseconds)
    };
    let text = format!("{sign}{whole}.{fraction:09}");
    text.trim_end_matches('0').to_owned()
}

fn once<T>(place: &mut Option<T>, value: T) -> Result<(), Refusal> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(Refusal::BadArchive(
            "an extended header says something twice",
        )),
    }
}

/// An unsigned decimal number, digits alone.
pub(super) fn decimal(text: &[u8]) -> Result<u64, Refusal> {
    if text.is_empty() || text.len() > 19 || !text.iter().all(u8::is_ascii_digit) {
        return Err(BAD);
    }
    let digits = text.iter().map(|digit| u64::from(digit - b'0'));
    Ok(digits.fold(0, |sum, digit| sum * 10 + digit))
}

fn id(text: &[u8]) -> Result<u32, Refusal> {
    u32::try_from(decimal(text)?).map_err(|_| BAD)
}

/// Seconds, with a sign and a fraction where they have one; digits beyond nanoseconds are cut off.
fn timestamp(text: &[u8]) -> Result<Timestamp, Refusal> {
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let dot = text.iter().position(|byte| *byte == b'.');
    let (whole, fraction) = match dot {
        Some(dot) => (&text[..dot], &text[dot + 1..]),
        None => (text, &b""[..]),
    };
    let seconds = i64::try_from(decimal(whole)?).map_err(|_| BAD)?;
    if !fraction.iter().all(u8::is_ascii_digit) {
        return Err(BAD);
    }
    let digits = fraction
        .iter()
        .copied()
        .chain(std::iter::repeat(b'0'))
        .take(9);
    let nanoseconds = digits.fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    Ok(match (negative, nanoseconds) {
        (false, _) => Timestamp {
            seconds,
            nanoseconds,
        },
        (true, 0) => Timestamp {
            seconds: -seconds,
            nanoseconds,
        },
        (true, _) => Timestamp {
            seconds: -seconds - 1,
            nanoseconds: 1_000_000_000 - nanoseconds,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &str, value: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        push(&mut text, key.as_bytes(), value);
        text
    }

    #[test]
    fn a_record_counts_its_own_digits() {
        assert_eq!(record("path", b"x"), b"9 path=x\n");
        assert_eq!(record("path", b"12"), b"11 path=12\n");
        for length in 0..300 {
            let text = record("path", &vec![b'x'; length]);
            let records = Records::parse(&text).unwrap();
            assert_eq!(records.path.map(|path| path.len()), Some(length));
        }
    }

    #[test]
    fn times_are_read_as_they_are_written() {
        for (seconds, nanoseconds, text) in [
            (0, 0, "0"),
            (5, 500_000_000, "5.5"),
            (-5, 0, "-5"),
            (-2, 250_000_000, "-1.75"),
            (-1, 999_999_999, "-0.000000001"),
            (1, 1, "1.000000001"),
        ] {
            let time = Timestamp {
                seconds,
                nanoseconds,
            };
            assert_eq!(time_text(time), text);
            assert_eq!(timestamp(text.as_bytes()), Ok(time));
        }
        assert!(timestamp(b"1.x").is_err());
        assert!(timestamp(b"--1").is_err());
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for text in [
            &b"9 path=x"[..],
            b"99 path=x\n",
            b"0 path=x\n",
            b"2 path=x\n",
            b"path=x\n",
            b"9 path x\n",
            b"99999999999999999999 path=x\n",
            b"9 path=x\n9 path=x\n",
            b"9 uid=-1\n",
            b"18446744073709551615 a=b\n",
        ] {
            assert!(Records::parse(text).is_err(), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn access_lists_as_text_are_attributes() {
        let list = b"user::rw-,user:7:r--:7,group::r--,mask::rw-,other::---";
        let text = record("SCHILY.acl.access", list);
        let records = Records::parse(&text).unwrap();
        let attribute = &records.xattrs[&b"system.posix_acl_access"[..]];
        assert_eq!((attribute.len(), records.unread), (44, 0));
        // In both forms it says the same, or nothing.
        let both = |attribute: &[u8]| {
            let other = record("SCHILY.xattr.system.posix_acl_access", attribute);
            Records::parse(&[&text[..], &other].concat()).map(|records| records.xattrs.len())
        };
        assert_eq!(both(attribute), Ok(1));
        both(b"other").unwrap_err();
        let named = record(
            "SCHILY.acl.default",
            b"user::rw-,user:lisa:r--,group::r--,mask::rw-,other::---",
        );
        let ace = record("SCHILY.acl.ace", b"owner@:rwx::allow");
        let records = Records::parse(&[named, ace].concat()).unwrap();
        assert_eq!((records.xattrs.len(), records.unread), (0, 2));
        Records::parse(&[&text[..], &text].concat()).unwrap_err();
        Records::parse(&record("SCHILY.acl.access", b"x")).unwrap_err();
        // An empty text is no list.
        let none = record("SCHILY.acl.default", b"");
        let records = Records::parse(&[&text[..], &none].concat()).unwrap();
        assert_eq!((records.xattrs.len(), records.unread), (1, 0));
    }

    #[test]
    fn attributes_keep_every_byte() {
        let text = record("SCHILY.xattr.user.a=b", b"\0\n=\xff");
        let records = Records::parse(&text).unwrap();
        // The first equals sign ends a key, so a name with one cannot be written.
        assert!(records.xattrs.contains_key(&b"user.a"[..]));
        let text = record("SCHILY.xattr.user.a", b"\0\n=\xff");
        let records = Records::parse(&text).unwrap();
        assert_eq!(records.xattrs[&b"user.a"[..]], b"\0\n=\xff");
    }
}
