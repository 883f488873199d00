//! What a module says of itself: the section `.modinfo`, `key=value` with a NUL byte behind each. Pure.

use object::{
    LittleEndian,
    elf::FileHeader64,
    read::elf::{FileHeader as _, SectionHeader as _},
};

/// The most names that one module needs.
const MOST: usize = 64;
/// The longest name.
const MAX_NAME: usize = 64;

/// The modules that have to be loaded before one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    /// It cannot be loaded without these.
    pub(super) hard: Vec<String>,
    /// It does not work without these, where the kernel has them (`softdep=pre:`).
    pub(super) soft: Vec<String>,
}

impl Needs {
    /// Reads a module; nothing of what is none.
    pub(super) fn read(module: &[u8]) -> Self {
        section(module).map_or_else(Self::default, Self::parse)
    }

    /// Reads the section.
    pub(super) fn parse(section: &[u8]) -> Self {
        let mut needs = Self::default();
        for entry in section.split(|byte| *byte == 0) {
            let Ok(entry) = std::str::from_utf8(entry) else {
                continue;
            };
            if let Some(names) = entry.strip_prefix("depends=") {
                add(&mut needs.hard, names.split(','));
            } else if let Some(list) = entry.strip_prefix("softdep=") {
                let words = list.split_ascii_whitespace();
                let before = words.skip_while(|word| *word != "pre:").skip(1);
                add(
                    &mut needs.soft,
                    before.take_while(|word| !word.ends_with(':')),
                );
            }
        }
        needs
    }
}

fn add<'a>(list: &mut Vec<String>, names: impl Iterator<Item = &'a str>) {
    let names = names.filter(|name| !name.is_empty() && name.len() <= MAX_NAME);
    for name in names.map(plain) {
        if list.len() < MOST {
            list.push(name);
        }
    }
}

fn section(module: &[u8]) -> Option<&[u8]> {
    let header = FileHeader64::<LittleEndian>::parse(module).ok()?;
    let sections = header.sections(LittleEndian, module).ok()?;
    let (_, section) = sections.section_by_name(LittleEndian, b".modinfo")?;
    section.data(LittleEndian, module).ok()
}

/// A name as modules depend on it: with `_` for `-`.
pub(super) fn plain(name: &str) -> String {
    name.replace('-', "_")
}

/// The name of the module in a file of this name: `virtio_net.ko.xz` has `virtio_net`.
pub(super) fn of_file(file: &str) -> Option<String> {
    let name = ["", ".xz", ".zst", ".gz"].iter().find_map(|ending| {
        let rest = file.strip_suffix(ending)?;
        rest.strip_suffix(".ko")
    })?;
    (!name.is_empty() && name.len() <= MAX_NAME).then(|| plain(name))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_kinds_of_needs_are_read() {
        let section = b"license=GPL\0depends=virtio,virtio-ring\0softdep=pre: crc32c libx post: y\0softdep=post: z\0depends=\0";
        let needs = Needs::parse(section);
        assert_eq!(needs.hard, ["virtio", "virtio_ring"]);
        assert_eq!(needs.soft, ["crc32c", "libx"]);
    }

    #[test]
    fn names_are_those_of_files() {
        assert_eq!(of_file("virtio-net.ko.xz").as_deref(), Some("virtio_net"));
        assert_eq!(of_file("a.ko").as_deref(), Some("a"));
        for none in ["a.o", ".ko", "a.ko.bz2", "ko"] {
            assert_eq!(of_file(none), None, "{none}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(mut bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let needs = Needs::parse(&bytes);
            prop_assert!(needs.hard.len() <= MOST && needs.soft.len() <= MOST);
            bytes.splice(0..0, *b"\x7fELF\x02\x01\x01");
            let _read = Needs::read(&bytes);
        }
    }
}
