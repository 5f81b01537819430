//! Tables in Markdown, ready for a README.

/// A table; the first column is text, the others are numbers.
#[derive(Debug)]
pub struct Table {
    title: String,
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows; the first column has no heading.
    #[must_use]
    pub fn new<C: Into<String>>(
        title: impl Into<String>,
        columns: impl IntoIterator<Item = C>,
    ) -> Self {
        Self {
            title: title.into(),
            columns: columns.into_iter().map(Into::into).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub fn row<C: Into<String>>(
        &mut self,
        name: impl Into<String>,
        cells: impl IntoIterator<Item = C>,
    ) {
        let mut row = vec![name.into()];
        row.extend(cells.into_iter().map(Into::into));
        self.rows.push(row);
    }

    /// Writes the table to standard output.
    pub fn print(&self) {
        println!("\n| {} | {} |", self.title, self.columns.join(" | "));
        println!("|---|{}", "---:|".repeat(self.columns.len()));
        for row in &self.rows {
            println!("| {} |", row.join(" | "));
        }
    }
}

/// A duration in nanoseconds, in the unit that suits it.
#[must_use]
pub fn time(nanoseconds: f64) -> String {
    match nanoseconds {
        few if few < 10.0 => format!("{few:.1} ns"),
        some if some < 10_000.0 => format!("{} ns", grouped(some)),
        many if many < 1_000_000.0 => format!("{:.1} us", many / 1e3),
        lots => format!("{:.1} ms", lots / 1e6),
    }
}

/// A whole number with its thousands set apart.
#[must_use]
pub fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}
