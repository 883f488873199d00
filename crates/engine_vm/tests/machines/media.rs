//! Images of disks in the formats that machines boot: made of a raw disk, by QEMU itself where QEMU has the format.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::{Value, json};

/// A sector of an optical disk.
const SECTOR: usize = 2048;
/// Where its parts are, in sectors.
const CATALOG: usize = 19;
const IMAGE: usize = 20;

/// An optical disk that boots `disk` by UEFI: descriptors, a catalog with one entry, and the disk behind it.
pub(crate) fn optical(disk: &[u8]) -> Vec<u8> {
    let mut image = vec![0; IMAGE * SECTOR];
    let mut put = |at: usize, value: &[u8]| image[at..at + value.len()].copy_from_slice(value);
    let size = u32::try_from(IMAGE + disk.len() / SECTOR).unwrap();
    put(16 * SECTOR, b"\x01CD001\x01");
    put(16 * SECTOR + 80, &size.to_le_bytes());
    put(16 * SECTOR + 84, &size.to_be_bytes());
    put(16 * SECTOR + 128, &[0, 8, 8, 0]);
    put(17 * SECTOR, b"\x00CD001\x01EL TORITO SPECIFICATION");
    put(17 * SECTOR + 0x47, &[u8::try_from(CATALOG).unwrap(), 0]);
    put(18 * SECTOR, b"\xffCD001\x01");
    // For UEFI.
    put(CATALOG * SECTOR, &[1, 0xef]);
    put(CATALOG * SECTOR + 30, b"\x55\xaa");
    put(CATALOG * SECTOR + 32, &[0x88]);
    let sectors = u16::try_from(disk.len() / 512).unwrap();
    put(CATALOG * SECTOR + 38, &sectors.to_le_bytes());
    put(CATALOG * SECTOR + 40, &[u8::try_from(IMAGE).unwrap()]);
    // The sum of the words of the first entry is 0.
    let words = image[CATALOG * SECTOR..][..32].chunks(2);
    let sum = words.fold(0_u16, |sum, two| {
        sum.wrapping_add(u16::from_le_bytes([two[0], two[1]]))
    });
    let sum = 0_u16.wrapping_sub(sum).to_le_bytes();
    image[CATALOG * SECTOR + 28..][..2].copy_from_slice(&sum);
    image.extend(disk);
    image
}

/// A QEMU without a machine, which makes images.
struct Maker {
    qemu: Child,
    commands: ChildStdin,
    answers: std::io::Lines<BufReader<ChildStdout>>,
}

impl Drop for Maker {
    fn drop(&mut self) {
        let _ended_already = self.qemu.kill();
        let _reaped = self.qemu.wait();
    }
}

impl Maker {
    fn execute(&mut self, name: &str, arguments: &Value) {
        let command = json!({"execute": name, "arguments": arguments, "id": 1});
        writeln!(self.commands, "{command}").unwrap();
        let answer = self.until(|said| said.get("id").is_some());
        assert!(answer.get("error").is_none(), "{name}: {answer}");
    }

    fn until(&mut self, is_it: impl Fn(&Value) -> bool) -> Value {
        loop {
            let said = self.answers.next().unwrap().unwrap();
            let said = serde_json::from_str(&said).unwrap();
            if is_it(&said) {
                return said;
            }
        }
    }

    /// Runs a job to its end.
    fn run(&mut self, name: &str, mut arguments: Value) {
        arguments["job-id"] = json!("job");
        self.execute(name, &arguments);
        self.until(|said| {
            said["event"] == "JOB_STATUS_CHANGE" && said["data"]["status"] == "concluded"
        });
    }
}

/// Writes the raw disk at `from` to `to`, in a format of QEMU's.
pub(crate) fn convert(from: &Path, format: &str, to: &Path) {
    let mut qemu = Command::new("qemu-system-x86_64")
        .args([
            "-machine",
            "none",
            "-nodefaults",
            "-display",
            "none",
            "-qmp",
            "stdio",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut maker = Maker {
        commands: qemu.stdin.take().unwrap(),
        answers: BufReader::new(qemu.stdout.take().unwrap()).lines(),
        qemu,
    };
    let size = std::fs::metadata(from).unwrap().len();
    maker.execute("qmp_capabilities", &json!({}));
    maker.run(
        "blockdev-create",
        json!({"options": {"driver": "file", "filename": to, "size": 0}}),
    );
    maker.execute("job-dismiss", &json!({"id": "job"}));
    maker.execute(
        "blockdev-add",
        &json!({"driver": "file", "node-name": "file", "filename": to}),
    );
    let mut options = json!({"driver": format, "file": "file", "size": size});
    if format == "vpc" {
        // Else only sizes that disks of cylinders, heads and sectors have are possible.
        options["force-size"] = json!(true);
    }
    maker.run("blockdev-create", json!({ "options": options }));
    maker.execute("job-dismiss", &json!({"id": "job"}));
    maker.execute(
        "blockdev-add",
        &json!({"driver": format, "node-name": "to", "file": "file"}),
    );
    let file = json!({"driver": "file", "filename": from});
    maker.execute(
        "blockdev-add",
        &json!({"driver": "raw", "node-name": "from", "file": file}),
    );
    maker.run(
        "blockdev-backup",
        json!({"device": "from", "target": "to", "sync": "full"}),
    );
    maker.execute("quit", &json!({}));
    assert!(maker.qemu.wait().unwrap().success());
}
