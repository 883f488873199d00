//! Access lists (ACLs): as text in archives, and as the kernel has them in an attribute.
//!
//! Programs that write archives have two forms: the attribute itself (container tools), and text like
//! `user::rw-,user:lisa:r--:1000,group::r--,mask::rw-,other::---` (tar, star, bsdtar). The last field of an entry is
//! the number of its user or group; the name is that of another host and means nothing here.

use std::str;

use crate::Refusal;

/// The version of the kernel's form.
const VERSION: u32 = 2;
/// The number of an entry that has none.
const NONE: u32 = u32::MAX;
/// Bytes of an attribute, at most.
const MOST: usize = 64 << 10;
const BAD: Refusal = Refusal::BadArchive("an access list cannot be read");

/// Users and groups that an entry is for. In the kernel's form entries are in this order, and have these numbers.
const OWNER: u16 = 1;
const USER: u16 = 2;
const OWNING_GROUP: u16 = 4;
const GROUP: u16 = 8;
const MASK: u16 = 16;
const OTHERS: u16 = 32;

/// One entry: whom it is for, what it allows, and the user or group.
type Entry = (u16, u16, u32);

/// Which list of a file, and the attribute that has it.
pub(super) const KINDS: [(&[u8], &[u8]); 2] = [
    (b"SCHILY.acl.access", b"system.posix_acl_access"),
    (b"SCHILY.acl.default", b"system.posix_acl_default"),
];

/// The attribute that a text stands for; none where an entry has a name and no number.
///
/// # Errors
/// It is no access list, or none that a file can have.
pub(super) fn attribute(text: &[u8]) -> Result<Option<Vec<u8>>, Refusal> {
    let text = str::from_utf8(text).map_err(|_| BAD)?;
    let mut entries = Vec::new();
    for line in text.split([',', '\n']) {
        // What is effective is told as a comment.
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        match entry(line)? {
            Some(entry) => entries.push(entry),
            None => return Ok(None),
        }
    }
    entries.sort_by_key(|(who, ..)| *who);
    if !is_complete(&entries) {
        return Err(BAD);
    }
    let mut attribute = VERSION.to_le_bytes().to_vec();
    for (who, rights, id) in entries {
        attribute.extend(who.to_le_bytes());
        attribute.extend(rights.to_le_bytes());
        attribute.extend(id.to_le_bytes());
    }
    match attribute.len() <= MOST {
        true => Ok(Some(attribute)),
        false => Err(BAD),
    }
}

/// The text for an attribute; none where that is no access list, or one that its text would not give back.
pub(super) fn text(value: &[u8]) -> Option<Vec<u8>> {
    let entries = value.strip_prefix(&VERSION.to_le_bytes())?;
    let mut text = Vec::new();
    for entry in entries.chunks(8) {
        let [who @ .., _, _, _, _, _, _] = *entry.first_chunk::<8>()?;
        let rights = u16::from_le_bytes([entry[2], entry[3]]);
        let id = u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]);
        let (word, has_number) = match u16::from_le_bytes(who) {
            OWNER => ("user", false),
            USER => ("user", true),
            OWNING_GROUP => ("group", false),
            GROUP => ("group", true),
            MASK => ("mask", false),
            OTHERS => ("other", false),
            _ => return None,
        };
        let letters = [(4, 'r'), (2, 'w'), (1, 'x')];
        let letters = letters.map(|(bit, letter)| if rights & bit == 0 { '-' } else { letter });
        let letters: String = letters.iter().collect();
        let line = match has_number {
            true => format!("{word}:{id}:{letters}:{id}"),
            false => format!("{word}::{letters}"),
        };
        if !text.is_empty() {
            text.push(b',');
        }
        text.extend(line.into_bytes());
    }
    let is_read_back =
        attribute(&text).is_ok_and(|again| again.is_some_and(|again| again == value));
    is_read_back.then_some(text)
}

/// An entry; none where it has a name and no number.
fn entry(line: &str) -> Result<Option<Entry>, Refusal> {
    let mut fields = line.split(':').map(str::trim);
    let (Some(word), Some(name), Some(letters)) = (fields.next(), fields.next(), fields.next())
    else {
        return Err(BAD);
    };
    let number = fields.next();
    if fields.next().is_some() {
        return Err(BAD);
    }
    let who = match (word, name.is_empty()) {
        ("user" | "u", true) => OWNER,
        ("user" | "u", false) => USER,
        ("group" | "g", true) => OWNING_GROUP,
        ("group" | "g", false) => GROUP,
        ("mask" | "m", true) => MASK,
        ("other" | "o", true) => OTHERS,
        _ => return Err(BAD),
    };
    let mut rights = 0;
    for letter in letters.chars() {
        rights |= match letter {
            'r' => 4,
            'w' => 2,
            'x' => 1,
            '-' => 0,
            _ => return Err(BAD),
        };
    }
    if !matches!(who, USER | GROUP) {
        return match number {
            None | Some("") => Ok(Some((who, rights, NONE))),
            Some(_) => Err(BAD),
        };
    }
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let id = match number {
        Some(number) if is_number(number) => number,
        Some(_) => return Err(BAD),
        None if is_number(name) => name,
        None => return Ok(None),
    };
    let id = id.parse().ok().filter(|id| *id != NONE).ok_or(BAD)?;
    Ok(Some((who, rights, id)))
}

/// Whether a file can have these entries, which are in their order.
fn is_complete(entries: &[Entry]) -> bool {
    let count = |wanted| entries.iter().filter(|(who, ..)| *who == wanted).count();
    let has_named = count(USER) + count(GROUP) > 0;
    let one_of_each = [OWNER, OWNING_GROUP, OTHERS]
        .iter()
        .all(|who| count(*who) == 1);
    one_of_each && count(MASK) <= 1 && (count(MASK) == 1 || !has_named)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str =
        "user::rw-,user:7:r--:7,user:3:--x:3,group::r--,group:9:-w-:9,mask::rwx,other::---";

    #[test]
    fn a_list_comes_back_from_its_text() {
        let made = attribute(FULL.as_bytes()).unwrap().unwrap();
        assert_eq!(made.len(), 4 + 7 * 8);
        assert_eq!(made[..12], [2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255]);
        assert_eq!(text(&made).unwrap(), FULL.as_bytes());
        let short = attribute(b"user::rwx,group::---,other::r-x")
            .unwrap()
            .unwrap();
        assert_eq!(text(&short).unwrap(), b"user::rwx,group::---,other::r-x");
    }

    #[test]
    fn dialects_of_other_programs_are_read() {
        let full = attribute(FULL.as_bytes()).unwrap();
        for other in [
            "user::rw-\nuser:lisa:r--:7\nuser:3:--x\ngroup::r--\ngroup:staff:-w-:9\t#effective:-w-\nmask::rwx\nother::---\n",
            "other::---,mask::rwx,g:9:-w-,g::r--,u:7:r--,u:3:x,u::rw",
            "# file: x\nuser::rw-, user:7:r-- ,user:3:--x,group::r--,group:9:-w-,mask::rwx,other::---",
        ] {
            assert_eq!(attribute(other.as_bytes()), Ok(full.clone()), "{other}");
        }
        // A name of another host.
        let named = b"user::rw-,user:lisa:r--,group::r--,mask::r--,other::---";
        assert_eq!(attribute(named), Ok(None));
    }

    #[test]
    fn what_no_file_can_have_is_refused() {
        let many: String = (0..9000).map(|id| format!("user:{id}:r--,")).collect();
        let many = format!("{many}user::rwx,group::---,mask::r--,other::---");
        for wrong in [
            "",
            "user::rwx",
            "user::rwx,user::rwx,group::---,other::---",
            "user::rwx,user:1:rwx,group::---,other::---",
            "user::rwx,group::---,other::---,other",
            "user::rwz,group::---,other::---",
            "owner@:rwx::allow",
            "user::rwx,group::---,other:5:---",
            "user::rwx:1,group::---,other::---",
            "user::rwx,user:x:rwx:y,group::---,mask::rwx,other::---",
            "user::rwx,user:4294967295:rwx,group::---,mask::rwx,other::---",
            "user::rwx,user:1:rwx:1:1,group::---,mask::rwx,other::---",
            "\u{e4}",
            &many,
        ] {
            assert_eq!(attribute(wrong.as_bytes()), Err(BAD), "{wrong}");
        }
        assert_eq!(attribute(b"\xff"), Err(BAD));
        for none in [
            &b""[..],
            b"\x02\0\0\0",
            b"\x01\0\0\0",
            &[2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0],
            &[2, 0, 0, 0, 1],
            // An owner alone, and a list whose owner has a number.
            &[2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255],
            &attribute(FULL.as_bytes())
                .unwrap()
                .unwrap()
                .iter()
                .map(|byte| byte & 0x7f)
                .collect::<Vec<_>>(),
        ] {
            assert_eq!(text(none), None);
        }
    }
}
