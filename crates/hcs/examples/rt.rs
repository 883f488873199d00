//! scratch
fn main() {
    use hcs::raw::{Operation, Process, System};
    use std::time::Instant;
    let n: usize = std::env::args().nth(1).unwrap().parse().unwrap();
    let threads: usize = std::env::args().nth(2).unwrap().parse().unwrap();
    let what = std::env::args().nth(3).unwrap_or_default();
    let op = Operation::new();
    let system = System::create(&format!("rt{}", std::process::id()), r#"{"Owner":"b","SchemaVersion":{"Major":2,"Minor":1},"ShouldTerminateOnLastHandleClosed":true,"Container":{}}"#, &op).unwrap();
    op.wait(None).unwrap();
    system.start(&op, None).unwrap();
    op.wait(None).unwrap();
    let p = Process::create(&system, r#"{"CommandArgs":["sleep","1000"]}"#, &op).unwrap();
    op.wait(None).unwrap();
    if what == "exec" {
        let mut t = Vec::new();
        for _ in 0..n {
            let b = Instant::now();
            let p = Process::create(
                &system,
                r#"{"CommandArgs":["/bin/busybox","true"],"CreateStdOutPipe":true}"#,
                &op,
            )
            .unwrap();
            let (_, i) = op.wait_and_process_info(None, true).unwrap();
            let mut v = Vec::new();
            std::io::Read::read_to_end(&mut std::fs::File::from(i.stdout.unwrap()), &mut v)
                .unwrap();
            p.wait_exit(None).unwrap();
            p.close().unwrap();
            let hcs = b.elapsed().as_nanos();
            let b = Instant::now();
            std::process::Command::new("/bin/busybox")
                .arg("true")
                .env_clear()
                .stdin(std::process::Stdio::null())
                .stderr(std::process::Stdio::null())
                .output()
                .unwrap();
            t.push((hcs, b.elapsed().as_nanos()));
        }
        let mut a: Vec<_> = t.iter().map(|x| x.0).collect();
        a.sort();
        let mut b: Vec<_> = t.iter().map(|x| x.1).collect();
        b.sort();
        println!(
            "exec hcs min {} med {} us; floor min {} med {} us; ratio med {:.2} min {:.2}",
            a[0] / 1000,
            a[n / 2] / 1000,
            b[0] / 1000,
            b[n / 2] / 1000,
            a[n / 2] as f64 / b[n / 2] as f64,
            a[0] as f64 / b[0] as f64
        );
        return;
    }
    let (near, far) = rustix::net::socketpair(
        rustix::net::AddressFamily::UNIX,
        rustix::net::SocketType::SEQPACKET,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )
    .unwrap();
    std::thread::spawn(move || {
        let mut b = [0u8; 200];
        while let Ok((_, c @ 1..)) =
            rustix::net::recv(&far, &mut b[..], rustix::net::RecvFlags::empty())
        {
            rustix::net::send(&far, &b[..c], rustix::net::SendFlags::NOSIGNAL).unwrap();
        }
    });
    if threads > 1 {
        let b = Instant::now();
        let h: Vec<_> = (0..threads)
            .map(|_| {
                let p = p.clone();
                std::thread::spawn(move || {
                    let op = Operation::new();
                    for _ in 0..n {
                        p.info(&op).unwrap();
                        op.wait_and_process_info(None, true).unwrap();
                    }
                })
            })
            .collect();
        for h in h {
            h.join().unwrap();
        }
        let e = b.elapsed();
        println!(
            "{threads} threads: {:.1} us per call",
            e.as_secs_f64() * 1e6 / (n * threads) as f64
        );
        return;
    }
    let mut raw = Vec::new();
    let mut ours = Vec::new();
    for _ in 0..n {
        let mut buf = [7u8; 200];
        let b = Instant::now();
        rustix::net::send(&near, &buf, rustix::net::SendFlags::NOSIGNAL).unwrap();
        rustix::net::recv(&near, &mut buf[..], rustix::net::RecvFlags::empty()).unwrap();
        raw.push(b.elapsed().as_nanos());
        let b = Instant::now();
        p.info(&op).unwrap();
        op.wait_and_process_info(None, true).unwrap();
        ours.push(b.elapsed().as_nanos());
    }
    raw.sort();
    ours.sort();
    println!(
        "raw p10 {:.1} med {:.1} us; hcs p10 {:.1} med {:.1} us; ratio med {:.2}",
        raw[n / 10] as f64 / 1e3,
        raw[n / 2] as f64 / 1e3,
        ours[n / 10] as f64 / 1e3,
        ours[n / 2] as f64 / 1e3,
        ours[n / 2] as f64 / raw[n / 2] as f64
    );
}
