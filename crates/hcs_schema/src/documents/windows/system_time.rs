//! [`SystemTime`].

document! {
    /// A time by its parts.
    SystemTime {
        /// The year.
        year: u16 = "Year", 2.1;
        /// The month, from 1; 0 is no time at all.
        month: u16 = "Month", 2.1;
        /// The day of the week, from 0 for Sunday.
        day_of_week: u16 = "DayOfWeek", 2.1;
        /// The day of the month; in rules of daylight saving the week of the month, 5 being the last.
        day: u16 = "Day", 2.1;
        /// The hour.
        hour: u16 = "Hour", 2.1;
        /// The minute.
        minute: u16 = "Minute", 2.1;
        /// The second.
        second: u16 = "Second", 2.1;
        /// The milliseconds.
        milliseconds: u16 = "Milliseconds", 2.1;
    }
}
