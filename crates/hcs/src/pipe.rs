//! [`PipeReader`] and [`PipeWriter`]: stdio of a process for async code, on any executor.

use std::{
    fs::File,
    io,
    os::fd::OwnedFd,
    pin::Pin,
    task::{Context, Poll},
};

use async_io::Async;
use futures_lite::{AsyncRead, AsyncWrite};

/// The read end of a process's standard output or error. At the end of the stream 0 bytes are read.
#[derive(Debug)]
pub struct PipeReader {
    file: Async<File>,
}

impl PipeReader {
    /// Makes `descriptor` non-blocking, with all copies of it.
    ///
    /// # Errors
    /// It cannot be watched (`epoll_ctl(2)`).
    pub fn new(descriptor: OwnedFd) -> io::Result<Self> {
        let file = Async::new(File::from(descriptor))?;
        Ok(Self { file })
    }
}

impl AsyncRead for PipeReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.file).poll_read(context, buffer)
    }
}

/// The write end of a process's standard input. Closed or dropped, it ends the process's input.
#[derive(Debug)]
pub struct PipeWriter {
    file: Option<Async<File>>,
}

impl PipeWriter {
    /// Makes `descriptor` non-blocking, with all copies of it.
    ///
    /// # Errors
    /// It cannot be watched (`epoll_ctl(2)`).
    pub fn new(descriptor: OwnedFd) -> io::Result<Self> {
        let file = Async::new(File::from(descriptor))?;
        Ok(Self { file: Some(file) })
    }
}

impl AsyncWrite for PipeWriter {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.file {
            Some(file) => Pin::new(file).poll_write(context, bytes),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Nothing is kept back here.
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.file = None;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use futures_lite::{AsyncReadExt as _, AsyncWriteExt as _, future};

    use super::*;

    #[test]
    fn more_than_a_pipe_holds_goes_through_and_ends() {
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        let (mut reader, mut writer) = (
            PipeReader::new(read).unwrap(),
            PipeWriter::new(write).unwrap(),
        );
        let sent = vec![7; 300_000];
        let sending = async {
            writer.write_all(&sent).await.unwrap();
            writer.close().await.unwrap();
            assert!(writer.write(&[1]).await.is_err());
        };
        let receiving = async {
            let mut received = Vec::new();
            reader.read_to_end(&mut received).await.unwrap();
            received
        };
        let ((), received) = async_io::block_on(future::zip(sending, receiving));
        assert!(received == sent);
    }
}
