//! `hcs ps`: the processes of a system.

use clap::Args;
use hcs::documents::{ProcessDetails, SystemPropertyType};

use crate::{
    client,
    failure::Stop,
    options::limit::Limit,
    output::{Format, FormatOption, print, print_json, table},
};

/// List the processes of a system
#[derive(Args, Debug)]
pub(crate) struct Ps {
    /// The system
    id: String,

    #[command(flatten)]
    format: FormatOption,

    #[command(flatten)]
    limit: Limit,
}

impl Ps {
    pub(crate) fn run(self) -> Result<u8, Stop> {
        let clock = self.limit.begin("ps");
        let properties = client::property(&self.id, SystemPropertyType::ProcessList, clock)?;
        let processes = properties.process_list.unwrap_or_default();
        match self.format.format {
            Format::Json => print_json(&processes)?,
            Format::Table => print(&text(&processes))?,
        }
        Ok(0)
    }
}

fn text(processes: &[ProcessDetails]) -> String {
    let rows: Vec<[String; 5]> = processes
        .iter()
        .map(|process| {
            let time = process.user_time100ns.unwrap_or_default()
                + process.kernel_time100ns.unwrap_or_default();
            [
                process
                    .process_id
                    .map(|pid| pid.to_string())
                    .unwrap_or_default(),
                process.create_timestamp.clone().unwrap_or_default(),
                seconds(time),
                mebibytes(process.memory_working_set_private_bytes.unwrap_or_default()),
                process.image_name.clone().unwrap_or_default(),
            ]
        })
        .collect();
    table(["PID", "CREATED", "TIME", "PRIVATE", "NAME"], &rows)
}

/// Units of 100 ns as seconds, to the hundredth.
pub(super) fn seconds(time100ns: u64) -> String {
    let hundredths = time100ns / 100_000;
    format!("{}.{:02}s", hundredths / 100, hundredths % 100)
}

/// Bytes as MiB, to the tenth.
pub(super) fn mebibytes(bytes: u64) -> String {
    let tenths = ((bytes >> 10) * 10) >> 10;
    format!("{}.{}M", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_a_line() {
        let process = ProcessDetails {
            process_id: Some(2),
            image_name: Some("sh".to_owned()),
            user_time100ns: Some(12_300_000),
            kernel_time100ns: Some(45_000),
            memory_working_set_private_bytes: Some(1_600_000),
            ..ProcessDetails::default()
        };
        let expected = "PID  CREATED  TIME   PRIVATE  NAME\n2             1.23s  1.5M     sh\n";
        assert_eq!(text(&[process]), expected);
    }
}
