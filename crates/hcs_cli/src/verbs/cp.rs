//! `hcs cp`: files into a container and out of it.

use std::{
    fs::File,
    io::{self, BufReader},
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use clap::{
    Args,
    builder::{OsStringValueParser, TypedValueParser},
};
use hcs::{
    Failure, HResult,
    documents::{Archive, ArchiveOperation, ProcessParameters},
};
use hcs_archive::{ArchiveError, Options, Target, pack, top_name, unpack};
use rustix::{fs::Mode, process::umask};

use crate::{
    complain,
    failure::Stop,
    options::{end::End, limit::Limit, memory::megabytes},
    output::{end_with_the_reader, printable},
    session::archive::{self, Streams},
};

const TIMEOUT: &str = "Stop copying, with exit code 124, when it takes longer (0.5 is half a second); what was copied stays";

/// What comes out of a container unless the options say otherwise, as of images.
const MOST_MEGABYTES: u64 = 64 << 10;
const MOST_FILES: u64 = 2_000_000;

/// The most notes about files that were left out.
const MOST_NOTES: usize = 20;

/// Copy files into a container, or out of it
///
/// One of the two is ID:PATH, a path in a container that runs; it begins at the root, and its links lead where they
/// lead inside. The other is a path of this machine, or - for a tar archive on standard input or output. A directory is
/// copied with all that is in it: into DEST when that is a directory, else as DEST; DIR/. is what the directory holds.
/// Copied files belong to root inside, and to the user of hcs outside.
///
/// Links are copied, not followed. Of a container's files none is setuid or setgid outside, and devices are left out.
#[derive(Args, Debug)]
#[command(
    mut_arg("timeout", |timeout| timeout.help(TIMEOUT)),
    after_help = "\
Examples:
  hcs cp box:/var/log/app.log .
  hcs cp ./site box:/srv                    /srv/site, or /srv where that is not there
  hcs cp ./site/. box:/srv                  what is in site, into /srv
  hcs cp --max-size 2G --max-files 1000 box:/srv .
  hcs cp box:/srv - | gzip > srv.tar.gz
  gunzip < srv.tar.gz | hcs cp - box:/"
)]
pub(crate) struct Cp {
    /// What is copied: ID:PATH, a path, or - for an archive from standard input
    #[arg(value_name = "SRC", value_parser = end())]
    source: End,

    /// Where to: ID:PATH, a path, or - for an archive to standard output
    #[arg(value_name = "DEST", value_parser = end())]
    destination: End,

    /// Directories with all that is in them, as without this option
    #[arg(long, short, short_alias = 'R', hide = true)]
    recursive: bool,

    /// Keep the numbers of the owners; outside that takes root
    #[arg(long, short)]
    archive: bool,

    /// Copy what SRC leads to where it is a symbolic link
    #[arg(long, short = 'L')]
    follow_link: bool,

    /// The most bytes that come out of a container into files, in megabytes or as 2G [default: 64G]
    #[arg(long, value_name = "MB", value_parser = megabytes)]
    max_size: Option<u64>,

    /// The most files that come out of a container, directories and links included [default: 2000000]
    #[arg(long, value_name = "N", value_parser = crate::options::count)]
    max_files: Option<u64>,

    #[command(flatten)]
    limit: Limit,
}

/// Reads one of the two: paths of this machine may have any bytes.
fn end() -> impl TypedValueParser<Value = End> {
    OsStringValueParser::new().try_map(End::read)
}

impl Cp {
    pub(crate) fn run(self) -> Result<u8, Stop> {
        let clock = self.limit.begin("cp");
        let options = self.given()?;
        let (id, document, work): (_, _, Work) = match (self.source, self.destination) {
            (End::Inside { id, path }, End::Here(to)) => {
                let expected = top_name(Path::new(&path));
                let document = options.packed(path);
                (
                    id,
                    document,
                    Box::new(move |streams| options.unpack(streams, &to, expected)),
                )
            }
            (End::Inside { id, path }, End::Stream) => {
                end_with_the_reader()?;
                (id, options.packed(path), Box::new(pass_out))
            }
            (End::Here(from), End::Inside { id, path }) => {
                let document = options.unpacked(path, false);
                (
                    id,
                    document,
                    Box::new(move |streams| options.pack(streams, &from)),
                )
            }
            (End::Stream, End::Inside { id, path }) => {
                (id, options.unpacked(path, true), Box::new(pass_in))
            }
            (End::Inside { .. }, End::Inside { .. }) => {
                let advice = "SRC and DEST are both in containers: `hcs cp box:/srv - | hcs cp - other:/` copies from one to \
                              the other";
                return Err(Failure::new(HResult::E_INVALIDARG, advice).into());
            }
            _ => {
                let message = "neither SRC nor DEST is in a container; that one is named as ID:PATH, such as box:/srv";
                return Err(Failure::new(HResult::E_INVALIDARG, message).into());
            }
        };
        archive::run(&id, &document, clock, work)?;
        Ok(0)
    }

    /// # Errors
    /// There is a limit, and no file is made here that it would be of.
    fn given(&self) -> Result<Given, Failure> {
        let is_limited = self.max_size.is_some() || self.max_files.is_some();
        let ends = (&self.source, &self.destination);
        if is_limited && !matches!(ends, (End::Inside { .. }, End::Here(_))) {
            let message = "--max-size and --max-files are for files that come out of a container, as in `hcs cp box:/srv .`";
            return Err(Failure::new(HResult::E_INVALIDARG, message));
        }
        let megabytes = self.max_size.unwrap_or(MOST_MEGABYTES);
        Ok(Given {
            archive: self.archive,
            follow_link: self.follow_link,
            most_bytes: megabytes.saturating_mul(1 << 20),
            most_files: self.max_files.unwrap_or(MOST_FILES),
        })
    }
}

/// One side of a copy, with the streams of the other.
type Work = Box<dyn FnOnce(Streams) -> Result<(), ArchiveError>>;

/// The options of the verb.
#[derive(Clone, Copy, Debug)]
struct Given {
    archive: bool,
    follow_link: bool,
    most_bytes: u64,
    most_files: u64,
}

impl Given {
    /// The process that packs files inside.
    fn packed(self, path: String) -> ProcessParameters {
        ProcessParameters {
            archive: Some(Archive {
                operation: Some(ArchiveOperation::Pack),
                path: Some(path),
                follow_link: self.follow_link.then_some(true),
                ..Archive::default()
            }),
            create_std_out_pipe: Some(true),
            create_std_err_pipe: Some(true),
            ..ProcessParameters::default()
        }
    }

    /// The process that unpacks files inside.
    fn unpacked(self, path: String, any: bool) -> ProcessParameters {
        ProcessParameters {
            archive: Some(Archive {
                operation: Some(ArchiveOperation::Unpack),
                path: Some(path),
                keep_owners: self.archive.then_some(true),
                any_archive: any.then_some(true),
                ..Archive::default()
            }),
            create_std_in_pipe: Some(true),
            create_std_err_pipe: Some(true),
            ..ProcessParameters::default()
        }
    }

    /// Unpacks here what comes from inside, which may be anything.
    fn unpack(
        self,
        streams: Streams,
        to: &Path,
        expected: Option<std::ffi::OsString>,
    ) -> Result<(), ArchiveError> {
        let stream = BufReader::with_capacity(128 << 10, streams.output()?);
        let expected = Some(expected);
        let options = Options {
            keep_owners: self.archive,
            mode_mask: match self.archive {
                true => 0o777,
                false => 0o777 & !masked(),
            },
            most_bytes: self.most_bytes,
            most_files: self.most_files,
        };
        let target = Target::Copy { expected };
        unpack(stream, to, target, options, &mut noting())
    }

    /// Packs files of this machine.
    fn pack(self, streams: Streams, from: &Path) -> Result<(), ArchiveError> {
        pack(from, self.follow_link, streams.input()?, &mut noting())
    }
}

/// An archive from inside, as it is.
fn pass_out(streams: Streams) -> Result<(), ArchiveError> {
    let passed = pass(streams.output()?, standard(io::stdout(), "written")?);
    if passed.as_ref().is_err_and(ArchiveError::other_side_ended) {
        // A reader that has gone away has read what it wanted.
        std::process::exit(0);
    }
    passed
}

/// An archive of the caller's, as it is.
fn pass_in(streams: Streams) -> Result<(), ArchiveError> {
    pass(standard(io::stdin(), "read")?, streams.input()?)
}

fn pass(mut from: File, mut to: File) -> Result<(), ArchiveError> {
    let copied = io::copy(&mut from, &mut to);
    copied.map(drop).map_err(|source| ArchiveError::Stream {
        doing: "passed on",
        source,
    })
}

/// A standard stream without a buffer.
fn standard(stream: impl AsFd, doing: &'static str) -> Result<File, ArchiveError> {
    let own: io::Result<OwnedFd> = stream.as_fd().try_clone_to_owned();
    own.map(File::from)
        .map_err(|source| ArchiveError::Stream { doing, source })
}

/// The bits that new files of this process have not.
fn masked() -> u32 {
    let mask = umask(Mode::RWXG | Mode::RWXO);
    umask(mask);
    mask.as_raw_mode()
}

/// Tells of files that were left out.
fn noting() -> impl FnMut(String) {
    let mut count = 0;
    move |text| {
        count += 1;
        match count {
            ..=MOST_NOTES => complain(&format!("hcs: {}\n", printable(&text))),
            count if count == MOST_NOTES + 1 => complain("hcs: there is more of the kind\n"),
            _ => {}
        }
    }
}
