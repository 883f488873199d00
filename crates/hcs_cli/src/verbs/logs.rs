//! `hcs logs`: the kept output of a detached command.

use std::{
    io::{self, Write},
    time::Duration,
};

use clap::Args;
use hcs::{Failure, HResult, OutputQuery, OutputRecord};
use hcs_schema::{shown_json, timestamp::rfc3339};
use serde::Serialize;

use crate::{
    complain,
    failure::Stop,
    options::{
        self,
        limit::Limit,
        since::{self, Since},
    },
    output::{cannot_write, end_with_the_reader},
};

/// The longest line that is printed as one JSON object.
const MOST_LINE: usize = 16 << 10;

const TIMEOUT: &str = "Give up with exit code 124 when it takes longer (0.5 is half a second)";

/// Print what the command of a container that hcs run -d made has written
///
/// Its standard output goes to standard output, its standard error to standard error, byte by byte as they came. The
/// newest 12 to 16 MB are kept, by the container itself and as long as it exists, also after the command has ended.
#[derive(Args, Debug)]
#[command(
    mut_arg("timeout", |timeout| timeout.help(TIMEOUT)),
    after_help = "\
Examples:
  hcs logs web
  hcs logs --tail 20 --follow web
  hcs logs --since 10m --timestamps web
  hcs logs --json web                       one object per line of output"
)]
pub(crate) struct Logs {
    /// The container
    id: String,

    /// Go on with what is written from now on, until the command and what holds its output have ended
    #[arg(long, short)]
    follow: bool,

    /// Only the last lines, this many; all prints everything
    #[arg(long, short = 'n', value_name = "N", default_value = "all", value_parser = tail)]
    tail: Tail,

    /// Only what was written since then: how long ago (90s, 10m, 1h30m), or a time (2024-02-29T12:30:00Z)
    #[arg(long, value_name = "WHEN", value_parser = since::parse)]
    since: Option<Since>,

    /// Begin each line with the time at which it was written
    #[arg(long, short, conflicts_with = "json")]
    timestamps: bool,

    /// The detached process, by its pid inside [default: the container's command]
    #[arg(long, value_name = "PID", value_parser = options::pid)]
    process: Option<u32>,

    /// Print a JSON object for each line: Time, Stream, and Text, or Base64 where it is not UTF-8
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    limit: Limit,
}

/// How many lines.
#[derive(Clone, Copy, Debug)]
struct Tail(Option<u64>);

/// Reads a number of lines.
///
/// # Errors
/// It is none.
fn tail(text: &str) -> Result<Tail, String> {
    if text == "all" {
        return Ok(Tail(None));
    }
    let count = text.parse().map(|count| Tail(Some(count)));
    count.map_err(|_| "expected a number of lines, such as 20, or all".to_owned())
}

impl Logs {
    pub(crate) fn run(self) -> Result<u8, Stop> {
        let clock = self.limit.begin("logs");
        let system = clock.open(&self.id)?;
        let query = OutputQuery {
            process_id: self.process.unwrap_or(0),
            tail: self.tail.0,
            since: self.since.map(Since::microseconds),
            follow: self.follow,
            ..OutputQuery::default()
        };
        let reading = clock.wait(&self.id, system.output(&query));
        let mut output = reading.map_err(|stop| advised(stop, &self.id))?;
        // It comes from the container itself.
        std::mem::forget(system);
        if self.follow {
            end_with_the_reader()?;
        }
        let mut printer = Printer::new(self.timestamps, self.json);
        loop {
            let next = output.next_within(clock.left()).map_err(|failure| {
                match failure.hresult == HResult::TIMEOUT {
                    true => clock.passed(&format!("the output of {:?}", self.id), "goes on"),
                    false => failure.into(),
                }
            })?;
            let printed = match next {
                Some((time, record)) => printer.print(time, record),
                None => {
                    done(printer.end())?;
                    return Ok(0);
                }
            };
            if !done(printed)? {
                return Ok(0);
            }
        }
    }
}

/// Says what to do where no output is kept.
fn advised(mut stop: Stop, id: &str) -> Stop {
    if stop.failure.hresult == HResult::NOT_FOUND {
        let cause = format!(
            "the output of a command is kept if its container was made by hcs run -d; hcs events --system {id} tells \
             what happened to it"
        );
        stop.failure = stop.failure.cause(cause);
    }
    stop
}

/// Whether the output was taken; a reader that has gone away is no error.
fn done(printed: io::Result<()>) -> Result<bool, Failure> {
    match printed {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(cannot_write(&error)),
    }
}

/// A line as a JSON object, or what happened between lines.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Object<'a> {
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
    /// The line goes on in the next object of its stream, or had no end.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    partial: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lost_bytes: Option<u64>,
}

/// One of the two streams.
#[derive(Debug)]
struct Stream {
    name: &'static str,
    /// Within a line, for times.
    open: bool,
    /// The beginning of a line, for JSON, and its time.
    begun: Vec<u8>,
    time: u64,
}

impl Stream {
    const fn new(name: &'static str) -> Self {
        Self {
            name,
            open: false,
            begun: Vec::new(),
            time: 0,
        }
    }

    /// The line that has been begun.
    fn object(&mut self, partial: bool) -> io::Result<String> {
        let line = std::mem::take(&mut self.begun);
        let text = std::str::from_utf8(&line).ok();
        json(&Object {
            time: time(self.time),
            stream: Some(self.name),
            text,
            base64: text.is_none().then(|| base64(&line)),
            partial,
            ..Object::default()
        })
    }
}

/// Prints records.
#[derive(Debug)]
struct Printer {
    timestamps: bool,
    json: bool,
    out: Stream,
    err: Stream,
}

impl Printer {
    const fn new(timestamps: bool, json: bool) -> Self {
        Self {
            timestamps,
            json,
            out: Stream::new("stdout"),
            err: Stream::new("stderr"),
        }
    }

    fn print(&mut self, time: u64, record: OutputRecord) -> io::Result<()> {
        match record {
            OutputRecord::Stdout(bytes) => self.write(false, time, &bytes),
            OutputRecord::Stderr(bytes) => self.write(true, time, &bytes),
            OutputRecord::Exit(code) => {
                self.end()?;
                self.note(time, Some(code), None)
            }
            OutputRecord::Lost(count) => self.note(time, None, Some(count)),
            OutputRecord::About(_) => Ok(()),
        }
    }

    fn write(&mut self, error: bool, time: u64, bytes: &[u8]) -> io::Result<()> {
        let stream = match error {
            true => &mut self.err,
            false => &mut self.out,
        };
        if self.json {
            let text = objects(stream, time, bytes)?;
            return put(&mut io::stdout().lock(), text.as_bytes());
        }
        let stamped;
        let shown = match self.timestamps {
            true => {
                stamped = with_times(stream, time, bytes);
                &stamped
            }
            false => bytes,
        };
        match error {
            true => put(&mut io::stderr().lock(), shown),
            false => put(&mut io::stdout().lock(), shown),
        }
    }

    /// Says what happened between lines; for people only what they miss.
    fn note(&self, at: u64, exit_code: Option<u32>, lost_bytes: Option<u64>) -> io::Result<()> {
        if self.json {
            let text = json(&Object {
                time: time(at),
                exit_code,
                lost_bytes,
                ..Object::default()
            })?;
            return put(&mut io::stdout().lock(), text.as_bytes());
        }
        if let Some(count) = lost_bytes {
            complain(&format!(
                "hcs: {count} bytes of output are missing here: they were rotated away before they were read, or the \
                 disk was full\n"
            ));
        }
        Ok(())
    }

    /// Prints lines that had no end.
    fn end(&mut self) -> io::Result<()> {
        for stream in [&mut self.out, &mut self.err] {
            if !stream.begun.is_empty() {
                let text = stream.object(true)?;
                put(&mut io::stdout().lock(), text.as_bytes())?;
            }
        }
        Ok(())
    }
}

fn put(to: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    to.write_all(bytes).and_then(|()| to.flush())
}

/// The same with the time before each line.
fn with_times(stream: &mut Stream, at: u64, bytes: &[u8]) -> Vec<u8> {
    let prefix = format!("{} ", time(at));
    let mut shown = Vec::with_capacity(bytes.len() + prefix.len());
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        if !stream.open {
            shown.extend_from_slice(prefix.as_bytes());
        }
        shown.extend_from_slice(line);
        stream.open = !line.ends_with(b"\n");
    }
    shown
}

/// An object for each line that ends in `bytes`, and for parts of those that are too long.
fn objects(stream: &mut Stream, at: u64, bytes: &[u8]) -> io::Result<String> {
    let mut text = String::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        for part in line.chunks(MOST_LINE) {
            if stream.begun.len() + part.len() > MOST_LINE {
                text += &stream.object(true)?;
            }
            if stream.begun.is_empty() {
                stream.time = at;
            }
            stream.begun.extend_from_slice(part);
        }
        if stream.begun.pop_if(|last| *last == b'\n').is_some() {
            text += &stream.object(false)?;
        }
    }
    Ok(text)
}

/// A line of JSON, in which nothing drives a terminal.
fn json(object: &Object<'_>) -> io::Result<String> {
    let text = serde_json::to_string(object).map_err(io::Error::other)?;
    Ok(shown_json(&text).into_owned() + "\n")
}

fn time(microseconds: u64) -> String {
    rfc3339(Duration::from_micros(microseconds))
}

/// `bytes` in base 64 (RFC 4648).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let mut number = [0; 4];
        number[1..=group.len()].copy_from_slice(group);
        let number = u32::from_be_bytes(number);
        for place in 0..4 {
            let digit = number >> (18 - 6 * place) & 63;
            text.push(match place <= group.len() {
                true => char::from(DIGITS[digit as usize]),
                false => '=',
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (bytes, text) in [
            (&b""[..], ""),
            (b"f", "Zg=="),
            (b"fo", "Zm8="),
            (b"foo", "Zm9v"),
            (b"foobar", "Zm9vYmFy"),
            (&[0xff, 0xfe, 0xfd], "//79"),
        ] {
            assert_eq!(base64(bytes), text);
        }
    }

    #[test]
    fn times_stand_before_lines_and_nowhere_else() {
        let mut stream = Stream::new("stdout");
        let mut shown = with_times(&mut stream, 0, b"one\ntw");
        shown.extend(with_times(&mut stream, 1_000_000, b"o\n"));
        shown.extend(with_times(&mut stream, 2_000_000, b"three"));
        let expected = "1970-01-01T00:00:00.0000000Z one\n1970-01-01T00:00:00.0000000Z two\n\
                        1970-01-01T00:00:02.0000000Z three";
        assert_eq!(String::from_utf8(shown).unwrap(), expected);
    }

    fn lines(text: &str) -> Vec<Value> {
        let values = text.lines().map(|line| serde_json::from_str(line).unwrap());
        values.collect()
    }

    #[test]
    fn a_line_is_an_object() {
        let mut stream = Stream::new("stderr");
        let mut text = objects(&mut stream, 0, b"one\n\ntw").unwrap();
        text += &objects(&mut stream, 9, b"o\n\xff\x1b\nlast").unwrap();
        text += &stream.object(true).unwrap();
        let time = "1970-01-01T00:00:00.0000000Z";
        let later = "1970-01-01T00:00:00.0000090Z";
        assert_eq!(
            lines(&text),
            [
                json!({"Time": time, "Stream": "stderr", "Text": "one"}),
                json!({"Time": time, "Stream": "stderr", "Text": ""}),
                json!({"Time": time, "Stream": "stderr", "Text": "two"}),
                json!({"Time": later, "Stream": "stderr", "Base64": "/xs="}),
                json!({"Time": later, "Stream": "stderr", "Text": "last", "Partial": true}),
            ]
        );
    }

    #[test]
    fn a_line_without_end_comes_in_parts() {
        let mut stream = Stream::new("stdout");
        let mut text = String::new();
        for _ in 0..5 {
            text += &objects(&mut stream, 0, &[b'x'; 10_000]).unwrap();
            assert!(stream.begun.len() <= MOST_LINE);
        }
        text += &objects(&mut stream, 0, b"end\n").unwrap();
        let lines = lines(&text);
        let whole: String = lines.iter().map(|l| l["Text"].as_str().unwrap()).collect();
        assert_eq!(whole.len(), 50_003);
        assert!(
            lines
                .iter()
                .rev()
                .skip(1)
                .all(|line| line["Partial"] == true)
        );
    }
}
