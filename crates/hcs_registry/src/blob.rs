//! A content as a stream, which goes on where it broke off.

use std::{
    io::{self, Read},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use hcs_storage::{Content, Refusal};
use ureq::{
    Body, BodyReader,
    http::{Response, header},
};

use crate::{connection::RegistryRequest, error::RegistryError, session::Session};

/// How often a content may break off.
const MOST_BREAKS: u32 = 5;
/// Bytes that have to come in each second that a content is waited for.
const LEAST: u64 = 1024;
/// Over how many times the longest silence that is looked at: a network that is bad for a minute is no reason to give
/// up.
const SILENCES: u32 = 10;

/// How fast a content comes. A registry that sends a byte now and then is never silent, and would hold the store in
/// use.
#[derive(Debug)]
struct Pace {
    /// How long it may say nothing.
    stall: Duration,
    waited: Duration,
    came: u64,
}

impl Pace {
    const fn new(stall: Duration) -> Self {
        let waited = Duration::ZERO;
        let came = 0;
        Self {
            stall,
            waited,
            came,
        }
    }

    /// Takes `bytes` that were waited for; returns whether that is fast enough. A process that was stopped meanwhile
    /// has not waited for longer than silence is waited for.
    fn keeps(&mut self, bytes: u64, waited: Duration) -> bool {
        self.came = self.came.saturating_add(bytes);
        self.waited += waited.min(self.stall);
        if self.waited < self.stall * SILENCES {
            return true;
        }
        let waited = std::mem::take(&mut self.waited).as_secs();
        std::mem::take(&mut self.came) >= waited.saturating_mul(LEAST)
    }
}

/// The bytes of a content, and of what comes behind it, which is refused by what reads it.
pub(crate) struct Blob<'a> {
    session: &'a Session<'a>,
    content: Content,
    body: BodyReader<'static>,
    position: u64,
    breaks: u32,
    pace: Pace,
    /// Set when another part of the image has failed.
    stop: &'a AtomicBool,
    /// Told of what has come.
    came: &'a (dyn Fn(u64) + Sync),
}

impl<'a> Blob<'a> {
    /// Asks for `content`.
    ///
    /// # Errors
    /// It is not there, or the registry says that it has another size.
    pub(crate) fn open(
        session: &'a Session<'a>,
        content: Content,
        stop: &'a AtomicBool,
        came: &'a (dyn Fn(u64) + Sync),
    ) -> Result<Self, RegistryError> {
        let answer = ask(session, content, 0, stop)?;
        Ok(Self {
            session,
            content,
            body: answer.into_body().into_reader(),
            position: 0,
            breaks: 0,
            pace: Pace::new(session.stall()),
            stop,
            came,
        })
    }

    /// Goes on with another answer, after `failure`; none stands for an end that came too early.
    fn resume(&mut self, failure: Option<io::Error>) -> io::Result<()> {
        self.breaks += 1;
        let tried = (self.breaks <= MOST_BREAKS)
            .then(|| ask(self.session, self.content, self.position, self.stop));
        match (tried, failure) {
            (Some(Ok(answer)), _) => {
                self.body = answer.into_body().into_reader();
                Ok(())
            }
            (_, Some(failure)) => Err(failure),
            // The reader tells of the missing bytes.
            (_, None) => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// Asks for a content from its byte `from` on.
fn ask(
    session: &Session<'_>,
    content: Content,
    from: u64,
    stop: &AtomicBool,
) -> Result<Response<Body>, RegistryError> {
    let path = format!("blobs/{}", content.digest);
    let request = RegistryRequest {
        from,
        is_content: true,
        stop: Some(stop),
        ..RegistryRequest::default()
    };
    let answer = session.get(&path, &request)?;
    if from > 0 {
        let range = answer.headers().get(header::CONTENT_RANGE);
        let range = range
            .and_then(|range| range.to_str().ok())
            .unwrap_or_default();
        let goes_on = answer.status() == 206 && range.starts_with(&format!("bytes {from}-"));
        if !goes_on {
            return Err(RegistryError::refused(
                &path,
                "the registry does not go on where it broke off",
            ));
        }
    }
    if let Some(length) = answer.body().content_length()
        && from.checked_add(length) != Some(content.size)
    {
        let found = from.saturating_add(length);
        let expected = content.size;
        let why = Refusal::WrongSize { expected, found }.to_string();
        return Err(RegistryError::refused(&content.digest.to_string(), why));
    }
    Ok(answer)
}

impl Read for Blob<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.stop.load(Ordering::Relaxed) {
                let why = "another part of the image has failed";
                return Err(io::Error::new(io::ErrorKind::ConnectionAborted, why));
            }
            let asked = Instant::now();
            let read = self.body.read(buffer);
            let whole = self.position >= self.content.size;
            match read {
                Ok(0) if !whole && !buffer.is_empty() => self.resume(None)?,
                // All of it is here, whatever became of the connection.
                Err(_) if whole => return Ok(0),
                Err(failure) => self.resume(Some(failure))?,
                Ok(read) => {
                    self.position += read as u64;
                    if !self.pace.keeps(read as u64, asked.elapsed()) {
                        let why = format!("it comes slower than {LEAST} bytes a second");
                        return Err(io::Error::new(io::ErrorKind::TimedOut, why));
                    }
                    (self.came)(read as u64);
                    return Ok(read);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_too_slowly_for_long_is_not_waited_for() {
        let silence = Duration::from_secs(30);
        let slow = Duration::from_secs(29);
        let mut pace = Pace::new(silence);
        let late = (0..20).position(|_| !pace.keeps(1, slow));
        assert_eq!(late, Some(10));
        // What is bad for a while is made up for by the rest.
        let mut pace = Pace::new(silence);
        for _ in 0..1000 {
            assert!((0..9).all(|_| pace.keeps(1, slow)));
            assert!(pace.keeps(400 << 10, slow) && pace.keeps(1, slow));
        }
        let mut pace = Pace::new(silence);
        assert!((0..9).all(|_| pace.keeps(1, Duration::MAX)));
        assert!(!pace.keeps(1, Duration::MAX));
    }
}
