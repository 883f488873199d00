//! The data file: function, source, what is promised.

use serde::Deserialize;

use crate::Result;

/// One promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// The function that promises.
    pub function: String,
    /// The return value, result or remark, in a word or two.
    pub what: String,
    /// In a sentence.
    pub says: String,
    /// Where it is said.
    pub source: Source,
}

/// The text that promises something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The function's page of the HCS reference.
    Reference,
    /// Our header.
    Header,
    /// Either; no portable program can bring it about, but a Rust test can.
    Elsewhere {
        /// Its file.
        file: String,
        /// Its name.
        test: String,
    },
}

impl Row {
    /// What checks call it.
    pub(crate) fn id(&self) -> String {
        format!("{}/{}", self.function, self.what)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Function {
    #[serde(default)]
    reference: toml::Table,
    #[serde(default)]
    header: toml::Table,
    #[serde(default)]
    elsewhere: toml::Table,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Elsewhere {
    says: String,
    test: String,
}

/// Reads the data file with that name.
///
/// # Errors
/// It is not what it should be: the reason.
pub(super) fn read(file_name: &str, text: &str) -> Result<Vec<Row>> {
    let table: toml::Table =
        toml::from_str(text).map_err(|error| format!("{file_name}: {error}"))?;
    let mut rows = Vec::new();
    for (name, value) in table {
        let wrong = |error: toml::de::Error| format!("{file_name}: {name}: {error}");
        let function: Function = value.try_into().map_err(wrong)?;
        for (source, said) in [
            (Source::Reference, function.reference),
            (Source::Header, function.header),
        ] {
            for (what, says) in said {
                let says: String = says.try_into().map_err(wrong)?;
                let (function, source) = (name.clone(), source.clone());
                rows.push(Row {
                    function,
                    what,
                    says,
                    source,
                });
            }
        }
        for (what, value) in function.elsewhere {
            let Elsewhere { says, test } = value.try_into().map_err(wrong)?;
            let (file, test) = test
                .split_once("::")
                .ok_or_else(|| format!("{file_name}: {name}/{what}: {test:?} is not file::test"))?;
            let (file, test) = (file.to_owned(), test.to_owned());
            let (function, source) = (name.clone(), Source::Elsewhere { file, test });
            rows.push(Row {
                function,
                what,
                says,
                source,
            });
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_all_sources_are_read() {
        let rows = read(
            "f",
            "[HcsA.reference]\nS_OK = \"it is done\"\n[HcsA.header]\n\"x y\" = \"z\"\n\
             [HcsA.elsewhere]\nw = { says = \"s\", test = \"a/b.rs::c\" }\n",
        )
        .unwrap();
        let ids: Vec<_> = rows.iter().map(Row::id).collect();
        assert_eq!(ids, ["HcsA/S_OK", "HcsA/x y", "HcsA/w"]);
        assert!(matches!(&rows[2].source, Source::Elsewhere { file, .. } if file == "a/b.rs"));
        assert!(read("f", "[HcsA.other]\nx = \"y\"\n").is_err());
        assert!(
            read(
                "f",
                "[HcsA.elsewhere]\nw = { says = \"s\", test = \"c\" }\n"
            )
            .is_err()
        );
    }
}
