//! A registry that does as a test says.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

/// What was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) path: String,
    /// By lowercase names.
    pub(crate) headers: BTreeMap<String, String>,
}

/// What is answered.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServerAnswer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) end: End,
}

/// How an answer ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum End {
    /// As its length says.
    #[default]
    Whole,
    /// After so many bytes the connection is closed.
    Cut(usize),
    /// After so many bytes nothing more comes, until the other side closes the connection.
    Stall(usize),
    /// One byte comes after the other, with so much time between.
    Drip(Duration),
    /// The body comes again and again.
    Endless,
}

impl ServerAnswer {
    pub(crate) fn ok(body: &[u8]) -> Self {
        Self::with(200, body)
    }

    pub(crate) fn with(status: u16, body: &[u8]) -> Self {
        Self {
            status,
            body: body.to_vec(),
            ..Self::default()
        }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn end(self, end: End) -> Self {
        Self { end, ..self }
    }
}

/// It serves until the test ends.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    pub(crate) fn new(answer: impl Fn(&Asked) -> ServerAnswer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let server = Self {
            address,
            asked: Arc::clone(&asked),
        };
        let answer = Arc::new(answer);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, asked) = (Arc::clone(&answer), Arc::clone(&asked));
                thread::spawn(move || serve(stream, &*answer, &asked));
            }
        });
        server
    }

    /// All that was asked for.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(stream: TcpStream, answer: &dyn Fn(&Asked) -> ServerAnswer, log: &Mutex<Vec<Asked>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    // A connection that begins with TLS is closed.
    if !matches!(reader.fill_buf(), Ok([first, ..]) if first.is_ascii_uppercase()) {
        return;
    }
    let mut first = String::new();
    if reader.read_line(&mut first).is_err() {
        return;
    }
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).is_err() || line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            headers.insert(name.to_lowercase(), value.trim().to_owned());
        }
    }
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let asked = Asked { path, headers };
    log.lock().unwrap().push(asked.clone());
    // What the other side does not read any more is no fault.
    let _gone = write(stream, &answer(&asked));
}

fn write(mut stream: TcpStream, answer: &ServerAnswer) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {} x\r\nConnection: close\r\n", answer.status);
    for (name, value) in &answer.headers {
        head += &format!("{name}: {value}\r\n");
    }
    if answer.end != End::Endless && !head.contains("Content-Length") {
        head += &format!("Content-Length: {}\r\n", answer.body.len());
    }
    stream.write_all((head + "\r\n").as_bytes())?;
    let most = answer.body.len();
    match answer.end {
        End::Whole => stream.write_all(&answer.body),
        End::Cut(bytes) => stream.write_all(&answer.body[..bytes.min(most)]),
        End::Stall(bytes) => {
            stream.write_all(&answer.body[..bytes.min(most)])?;
            // The other side says nothing more, so this ends with it.
            stream.read(&mut [0]).map(drop)
        }
        End::Drip(pause) => {
            // The other side says nothing more, so this waits for the time, or for its end.
            stream.set_read_timeout(Some(pause))?;
            for byte in &answer.body {
                stream.write_all(&[*byte])?;
                if stream.read(&mut [0]).is_ok() {
                    break;
                }
            }
            Ok(())
        }
        End::Endless => loop {
            stream.write_all(&answer.body)?;
        },
    }
}
