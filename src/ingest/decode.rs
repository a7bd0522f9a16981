//! Records → typed events. Each row finds its type, fills the columns by the header's plan, gets what is
//! derived, and joins the chunk of its partition. A bad row is an error with a reason, never a stop.

use crate::catalog::merge::{FillMask, KeyColumn, core_key_hash};
use crate::event::bounce::ReplyClass;
use crate::event::{Kind, Micros, RecordType, Role, column_index, domain_of, status};
use crate::ingest::cells::Cells;
use crate::ingest::chunk::{Chunk, Dictionaries, NONE, Size, Words};
use crate::ingest::derive::{ReplyMemory, Rules, kind_of};
use crate::ingest::header::{Names, Plan, is_imprinted};
use crate::ingest::time;
use hashbrown::HashMap;

/// Microseconds in a day.
const DAY: i64 = 86_400_000_000;

/// Partitions for which room is made before it is needed.
const FEW: usize = 4;

/// How rows get their `event_type` (SPEC §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RolePlan {
    /// All rows take the file's.
    File(Role),
    /// Each row takes that of its own type.
    Rows,
}

impl RolePlan {
    /// The plan of a file that holds these record types (bits by [`RecordType::index`]) under a name.
    pub fn of(types: u8, name: NameRole) -> Self {
        let holds = |set: &[RecordType]| set.iter().any(|record| types & (1 << record.index()) != 0);
        let only = |set: &[RecordType]| {
            let mask = set.iter().fold(0, |mask, record| mask | 1 << record.index());
            types != 0 && types & !mask == 0
        };
        use RecordType::{B, D, F, R, Rb, Rs, T, Tq};
        if only(&[F]) {
            Self::File(Role::Fbl)
        } else if only(&[Rb, Rs]) {
            Self::File(Role::Rb)
        } else if only(&[T, Tq]) {
            Self::File(Role::Tran)
        } else if only(&[B]) {
            Self::File(if name == NameRole::Is(Role::Acct) { Role::Acct } else { Role::Bounce })
        } else if only(&[D, B, R]) && holds(&[D, R]) {
            Self::File(if name == NameRole::Is(Role::Tran) { Role::Tran } else { Role::Acct })
        } else {
            Self::Rows
        }
    }

    fn of_row(self, record: RecordType) -> Role {
        match (self, record) {
            (Self::File(role), _) => role,
            (Self::Rows, RecordType::D | RecordType::R) => Role::Acct,
            (Self::Rows, RecordType::B) => Role::Bounce,
            (Self::Rows, RecordType::T | RecordType::Tq) => Role::Tran,
            (Self::Rows, RecordType::F) => Role::Fbl,
            (Self::Rows, RecordType::Rb | RecordType::Rs) => Role::Rb,
        }
    }
}

/// What a file's name says of its role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameRole {
    /// It begins with, or has as a word of its own, one of the five names.
    Is(Role),
    /// It says nothing.
    Silent,
}

impl NameRole {
    /// The role in a file name such as `acct-2026-11-23-0000.csv.gz` or `mta3_bounces.csv`.
    pub fn of(name: &str) -> Self {
        const NAMES: &[(&str, Role)] = &[
            ("acct", Role::Acct),
            ("tran", Role::Tran),
            ("trans", Role::Tran),
            ("diag", Role::Tran),
            ("bounce", Role::Bounce),
            ("bounces", Role::Bounce),
            ("fbl", Role::Fbl),
            ("rb", Role::Rb),
        ];
        let name = name.rsplit('/').next().unwrap_or(name).to_lowercase();
        name.split(|letter: char| !letter.is_ascii_alphabetic())
            .find_map(|word| NAMES.iter().find(|(known, _)| *known == word).map(|(_, role)| Self::Is(*role)))
            .unwrap_or(Self::Silent)
    }
}

/// What was counted while decoding.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Rows that became events.
    pub rows: u64,
    /// Rows by record type.
    pub by_type: [u64; 8],
    /// Key columns that the file fills, by record type (SPEC §2.6).
    pub filled: [FillMask; 8],
    /// Earliest event.
    pub min_time: Option<Micros>,
    /// Latest event.
    pub max_time: Option<Micros>,
    /// Latencies below zero, counted as 0.
    pub negative_latencies: u64,
    /// Rows of an operator's own rate-block file.
    pub rate_blocks: u64,
}

impl Tally {
    /// Adds what was counted in another part of the file.
    pub fn join(&mut self, other: &Self) {
        self.rows += other.rows;
        self.negative_latencies += other.negative_latencies;
        self.rate_blocks += other.rate_blocks;
        for index in 0..self.by_type.len() {
            self.by_type[index] += other.by_type[index];
            self.filled[index].join(other.filled[index]);
        }
        self.min_time = [self.min_time, other.min_time].into_iter().flatten().min();
        self.max_time = self.max_time.max(other.max_time);
    }

    /// Which reading of an ambiguous name was taken: `rb` may hold remote bounces or an operator's rate
    /// blocks, `tran` failed attempts or whole deliveries (`reference/powermta-files.md` §6).
    pub fn reading(&self, roles: RolePlan) -> &'static str {
        let rows = |record: RecordType| self.by_type[record.index()];
        match roles {
            RolePlan::File(Role::Rb) if self.rate_blocks == 0 => "read as remote bounces",
            RolePlan::File(Role::Rb) if self.rate_blocks == self.rows => "read as rate blocks",
            RolePlan::File(Role::Rb) => "read as remote bounces and rate blocks",
            RolePlan::File(Role::Tran) if rows(RecordType::T) + rows(RecordType::Tq) == self.rows => {
                "read as failed attempts"
            }
            RolePlan::File(Role::Tran) => "read as deliveries",
            _ => "",
        }
    }

    /// The record types met, as bits.
    pub fn types(&self) -> u8 {
        self.by_type.iter().enumerate().fold(0, |mask, (index, rows)| if *rows > 0 { mask | 1 << index } else { mask })
    }
}

/// The columns by name, so that the code below reads like the SPEC.
macro_rules! columns {
    ($($name:ident = $column:literal),+ $(,)?) => {
        #[derive(Debug, Clone, Copy)]
        struct Columns { $($name: usize),+ }
        impl Columns {
            fn find() -> Self {
                Self { $($name: column_index($column).unwrap_or_default()),+ }
            }
        }
    };
}

columns! {
    event_type = "event_type", record_type = "record_type", kind = "kind", event_time = "event_time",
    queued_time = "queued_time", date = "date", job_id = "job_id", user_id = "user_id", sender = "sender",
    sender_domain = "sender_domain", recipient = "recipient", recipient_domain = "recipient_domain",
    provider = "provider", vmta = "vmta", vmta_pool = "vmta_pool", source_ip = "source_ip",
    destination_ip = "destination_ip", env_id = "env_id", message_id = "message_id", custom_header = "custom_header",
    queue = "queue", smtp_status = "smtp_status", smtp_code = "smtp_code", dsn_action = "dsn_action",
    dsn_diag = "dsn_diag", dsn_mta = "dsn_mta", bounce_category = "bounce_category", bounce_class = "bounce_class",
    reply_class = "reply_class", is_rb = "is_rb", host = "host", delivery_latency_ms = "delivery_latency_ms",
    size_bytes = "size_bytes", headers = "headers", file_id = "file_id", row_number = "row_number",
}

/// A partition: day (since 1970) and role.
pub type Partition = (Option<i32>, Role);

/// Turns the records of one file into chunks of events.
#[derive(Debug)]
pub struct Decoder<'a> {
    rules: &'a Rules,
    names: &'a Names,
    columns: Columns,
    plan: Plan,
    delimiter: u8,
    layouts: HashMap<(RecordType, usize, bool), Option<Plan>>,
    roles: RolePlan,
    name_role: NameRole,
    file_id: i64,
    cells: Cells,
    /// Room for a record that must be written anew.
    spare: String,
    dictionaries: Dictionaries,
    chunks: HashMap<Partition, Chunk>,
    /// What the last chunk held, while there are few.
    usual: Size,
    /// Bytes that all chunks hold, and rows of the one that grew last.
    held: usize,
    last_rows: usize,
    replies: ReplyMemory,
    /// By role, record type and kind: the codes of these three words.
    fixed: [[[Option<[i32; 3]>; 9]; 8]; 5],
    /// The last moments, logged and queued.
    moments: [time::Memory; 2],
    users: HashMap<i32, i32>,
    providers: HashMap<(i32, i32, i32), i32>,
    statuses: HashMap<i32, i32>,
    raw_status: Words,
    headers: String,
    /// What was counted so far.
    pub tally: Tally,
}

impl<'a> Decoder<'a> {
    /// A decoder for a file whose header gave the plan.
    pub fn new(
        rules: &'a Rules,
        names: &'a Names,
        plan: Plan,
        delimiter: u8,
        roles: RolePlan,
        name_role: NameRole,
        file_id: i64,
    ) -> Self {
        Self {
            rules,
            names,
            columns: Columns::find(),
            plan,
            delimiter,
            layouts: HashMap::new(),
            roles,
            name_role,
            file_id,
            cells: Cells::default(),
            spare: String::new(),
            dictionaries: Dictionaries::default(),
            chunks: HashMap::new(),
            usual: Size::default(),
            held: 0,
            last_rows: 0,
            replies: ReplyMemory::default(),
            fixed: [[[None; 9]; 8]; 5],
            moments: Default::default(),
            users: HashMap::new(),
            providers: HashMap::new(),
            statuses: HashMap::new(),
            raw_status: Words::default(),
            headers: String::new(),
            tally: Tally::default(),
        }
    }

    /// What separates cells.
    pub fn delimiter(&self) -> u8 {
        self.delimiter
    }

    /// What the file's name says of its role.
    pub fn name_role(&self) -> NameRole {
        self.name_role
    }

    /// The plan in force.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Another header came in mid-stream.
    pub fn set_plan(&mut self, plan: Plan) {
        self.plan = plan;
    }

    /// The cells of a record as text.
    pub fn cells_of(&mut self, record: &[u8]) -> Vec<String> {
        self.cells.split(record, self.delimiter);
        (0..self.cells.len()).map(|index| self.cells.text(record, index).into_owned()).collect()
    }

    /// The chunk that should be written next, when one is full or all of them together are.
    pub fn full_chunk(&self, rows: usize, bytes: usize) -> Option<Partition> {
        if self.last_rows < rows && self.held < bytes {
            return None;
        }
        self.chunks.iter().max_by_key(|(_, chunk)| chunk.bytes()).map(|(partition, _)| *partition)
    }

    /// The partitions that still hold rows, in a fixed order.
    pub fn partitions(&self) -> Vec<Partition> {
        let mut partitions: Vec<Partition> = self.chunks.keys().copied().collect();
        partitions.sort_unstable();
        partitions
    }

    /// The rows of a partition as a batch, with the hashes of their keys.
    pub fn take(
        &mut self,
        partition: Partition,
    ) -> Result<Option<(arrow::array::RecordBatch, Vec<u64>)>, arrow::error::ArrowError> {
        let Some(chunk) = self.chunks.remove(&partition) else { return Ok(None) };
        self.held -= chunk.bytes();
        self.last_rows = 0;
        self.usual = if self.chunks.len() < FEW { chunk.size() } else { Size::default() };
        chunk.finish(&mut self.dictionaries).map(Some)
    }

    /// One record, and its number among the file's rows. The error is the reason for which it is put aside.
    /// `whole`: a newline followed, so a missing last cell was not cut off.
    pub fn decode(&mut self, record: &[u8], whole: bool, number: u64) -> Result<(), String> {
        let (mut cells, mut spare) = (std::mem::take(&mut self.cells), std::mem::take(&mut self.spare));
        cells.split(record, self.delimiter);
        let text = cells.settle(record, &mut spare);
        let outcome = self.decode_cells(&Row { text, cells: &cells, number }, whole);
        (self.cells, self.spare) = (cells, spare);
        outcome
    }

    fn decode_cells(&mut self, row: &Row<'_>, whole: bool) -> Result<(), String> {
        let (count, width) = (row.cells.len(), self.plan.width);
        // A trailing cell may be missing (PowerMTA's own samples) or be there and empty.
        let fits = (self.plan.named..=width).contains(&count)
            || (whole && count + 1 == self.plan.named)
            || (count == width + 1 && row.text(count - 1).is_empty());
        if fits {
            let plan = std::mem::take(&mut self.plan);
            let outcome = if count == width { Ok(()) } else { plausible(&plan, row, width) };
            let outcome = outcome.and_then(|()| self.decode_with(&plan, row));
            self.plan = plan;
            return outcome;
        }
        // Rows of another layout under this header. What could as well be a row of the header that was
        // cut is no such row.
        let first = row.text(0);
        let record_type = RecordType::of_cell(first).ok_or_else(|| {
            format!("{count} cells where the header has {width}, and `{}` is no record type", short(first))
        })?;
        let names = self.names;
        let imprinted = is_imprinted(count, row.text(3), row.text(5));
        let plan = self
            .layouts
            .entry((record_type, count, imprinted))
            .or_insert_with(|| Plan::of_layout(record_type, count, imprinted, names))
            .clone()
            .filter(|_| whole && (count > width || plausible(&self.plan, row, width).is_err()))
            .ok_or_else(|| format!("{count} cells where the header has {width}"))?;
        plausible(&plan, row, width)?;
        self.decode_with(&plan, row)
    }

    fn decode_with(&mut self, plan: &Plan, row: &Row<'_>) -> Result<(), String> {
        let said = self.read(plan, row)?;
        let found = self.derive(plan, row, &said);
        self.append(plan, row, &said, &found);
        self.count(&said, &found);
        Ok(())
    }

    /// What the cells say.
    fn read<'r>(&mut self, plan: &Plan, row: &Row<'r>) -> Result<Said<'r>, String> {
        let c = self.columns;
        let get = |column: usize| row.first(&plan.sources[column]);
        let record = self.record_type(plan, row)?;
        let rate_block = plan.rb_type.is_some_and(|cell| !row.text(cell).is_empty());
        let category = get(c.bounce_category);
        let mut job = get(c.job_id);
        if job.is_empty() && matches!(record, RecordType::F | RecordType::Rb | RecordType::Rs) {
            job = row.at(plan.job_header);
        }
        // The IP of f rows is the reporter's (`reference/powermta-files.md` §3); 0.0.0.0 is no address.
        let ip = get(c.source_ip);
        let foreign = record == RecordType::F && !ip.is_empty();
        let (source_ip, foreign_ip) = match (foreign, ip) {
            (true, _) => ("", ip),
            (false, "0.0.0.0") => ("", ""),
            (false, _) => (ip, ""),
        };
        Ok(Said {
            record,
            role: self.roles.of_row(record),
            kind: kind_of(record, row.at(plan.dlv_type), row.at(plan.feedback_type), category, rate_block),
            event_time: time_cell(&mut self.moments[0], get(c.event_time), "timeLogged")?,
            queued_time: time_cell(&mut self.moments[1], get(c.queued_time), "timeQueued")?,
            job,
            sender: bare_address(get(c.sender)),
            recipient: bare_address(get(c.recipient)),
            queue: get(c.queue),
            diag: get(c.dsn_diag),
            env_id: get(c.env_id),
            category,
            source_ip,
            foreign_ip,
        })
    }

    /// What follows from it; every word as a code.
    fn derive(&mut self, plan: &Plan, row: &Row<'_>, said: &Said<'_>) -> Derived {
        let c = self.columns;
        let get = |column: usize| row.first(&plan.sources[column]);
        let dict = &mut self.dictionaries;
        let job = dict[c.job_id].code(said.job);
        let queue = dict[c.queue].code(said.queue);
        let mta = dict[c.dsn_mta].code(get(c.dsn_mta));
        let domain = domain_code(&mut dict[c.recipient_domain], said.recipient, get(c.recipient_domain));
        let sender_domain = domain_word(&mut dict[c.sender_domain], said.sender);
        let user = self.user(get(c.user_id), job, row.at(plan.user_header));
        let provider = self.provider(mta, queue, domain);
        let (status, smtp_code) = self.status(get(c.smtp_status), said.diag);
        let class = self.reply_class(said, provider, status);
        let bounce_class = (said.kind == Kind::Bounced)
            .then(|| self.rules.bounces.class_of(class, self.dictionaries[c.smtp_status].word(status), said.category));
        let mut code = |column: usize, word: &str| self.dictionaries[column].code(word);
        let fixed = *self.fixed[said.role.index()][said.record.index()][said.kind.index()].get_or_insert_with(|| {
            [(c.event_type, said.role.as_str()), (c.record_type, said.record.as_str()), (c.kind, said.kind.as_str())]
                .map(|(column, word)| code(column, word))
        });
        let host = get(c.host);
        let codes = [
            (c.event_type, fixed[0]),
            (c.record_type, fixed[1]),
            (c.kind, fixed[2]),
            (c.job_id, job),
            (c.user_id, user),
            (c.sender_domain, sender_domain),
            (c.recipient_domain, domain),
            (c.provider, provider),
            (c.vmta, code(c.vmta, get(c.vmta))),
            (c.vmta_pool, code(c.vmta_pool, get(c.vmta_pool))),
            (c.source_ip, code(c.source_ip, said.source_ip)),
            (c.destination_ip, code(c.destination_ip, get(c.destination_ip))),
            (c.queue, queue),
            (c.smtp_status, status),
            (c.dsn_action, code(c.dsn_action, get(c.dsn_action))),
            (c.dsn_mta, mta),
            (c.bounce_category, code(c.bounce_category, said.category)),
            (c.bounce_class, code(c.bounce_class, bounce_class.map_or("", |class| class.as_str()))),
            (c.reply_class, code(c.reply_class, class.map_or("", ReplyClass::as_str))),
            (c.host, code(c.host, if host.is_empty() { &self.rules.host } else { host })),
        ];
        Derived {
            codes,
            smtp_code,
            is_rb: said.role == Role::Rb || class.is_some_and(ReplyClass::is_rb),
            filled: said.filled(status != NONE),
        }
    }

    fn reply_class(&mut self, said: &Said<'_>, provider: i32, status: i32) -> Option<ReplyClass> {
        if matches!(said.kind, Kind::Delivered | Kind::Received | Kind::Complaint) {
            return None;
        }
        let provider = self.dictionaries[self.columns.provider].word(provider);
        let status = self.dictionaries[self.columns.smtp_status].word(status);
        self.replies.class(self.rules, provider, said.diag, status, said.category)
    }

    /// Puts the row into the chunk of its partition.
    fn append(&mut self, plan: &Plan, row: &Row<'_>, said: &Said<'_>, found: &Derived) {
        let c = self.columns;
        let get = |column: usize| row.first(&plan.sources[column]);
        self.headers.clear();
        write_headers(&mut self.headers, plan, row, said.foreign_ip);
        let date = said.date();
        let usual = &self.usual;
        let chunk = self.chunks.entry((date, said.role)).or_insert_with(|| Chunk::with_room(usual));
        let before = chunk.bytes();
        for (column, code) in found.codes {
            chunk.push_code(column, code);
        }
        chunk.push_time(c.event_time, said.event_time);
        chunk.push_time(c.queued_time, said.queued_time);
        chunk.push_date(c.date, date);
        chunk.push_text(c.sender, said.sender);
        chunk.push_text(c.recipient, said.recipient);
        chunk.push_text(c.env_id, said.env_id);
        chunk.push_text(c.message_id, get(c.message_id));
        chunk.push_text(c.custom_header, get(c.custom_header));
        chunk.push_text(c.dsn_diag, said.diag);
        chunk.push_text(c.headers, &self.headers);
        chunk.push_int(c.smtp_code, found.smtp_code.map(i64::from));
        chunk.push_int(c.delivery_latency_ms, said.latency().map(|ms| ms.max(0)));
        chunk.push_int(c.size_bytes, get(c.size_bytes).trim().parse().ok());
        chunk.push_int(c.file_id, Some(self.file_id));
        chunk.push_int(c.row_number, Some(i64::try_from(row.number).unwrap_or(i64::MAX)));
        chunk.push_flag(c.is_rb, found.is_rb);
        let who = if said.kind == Kind::QueueError { said.queue } else { said.recipient };
        chunk.key_hashes.push(core_key_hash(said.kind, said.event_time, who));
        chunk.rows += 1;
        self.last_rows = chunk.rows;
        self.held += chunk.bytes() - before;
    }

    fn count(&mut self, said: &Said<'_>, found: &Derived) {
        let tally = &mut self.tally;
        tally.rows += 1;
        tally.by_type[said.record.index()] += 1;
        tally.filled[said.record.index()].join(found.filled);
        tally.rate_blocks += u64::from(said.kind == Kind::RateBlock);
        tally.negative_latencies += u64::from(said.latency().is_some_and(|ms| ms < 0));
        if let Some(time) = said.event_time {
            tally.min_time = Some(tally.min_time.map_or(time, |min| min.min(time)));
            tally.max_time = Some(tally.max_time.map_or(time, |max| max.max(time)));
        }
    }

    fn record_type(&self, plan: &Plan, row: &Row<'_>) -> Result<RecordType, String> {
        let cell = row.at(plan.record_type);
        if let Some(record) = RecordType::of_cell(cell) {
            return Ok(record);
        }
        if plan.rb_type.is_some() && (plan.record_type.is_none() || cell.is_empty()) {
            return Ok(RecordType::Rb);
        }
        if plan.record_type.is_some() {
            return Err(format!("`{}` in column `type` is none of d, b, t, tq, r, f, rb, rs", short(cell)));
        }
        if let Some(record) = plan.implied {
            return Ok(record);
        }
        let status = row.first(&plan.sources[self.columns.smtp_status]);
        let action = row.first(&plan.sources[self.columns.dsn_action]);
        infer_type(self.name_role, status, action)
            .ok_or_else(|| "neither a `type` cell nor the file name tells the record type".to_owned())
    }

    /// `rcvSmtpUser`, else what the job says, else the configured column.
    fn user(&mut self, cell: &str, job_code: i32, header: &str) -> i32 {
        let column = self.columns.user_id;
        if !cell.is_empty() {
            return self.dictionaries[column].code(cell);
        }
        if job_code != NONE {
            if let Some(code) = self.users.get(&job_code) {
                return *code;
            }
            let user = self.rules.user_of_job(self.dictionaries[self.columns.job_id].word(job_code));
            let code = self.dictionaries[column].code(&user);
            self.users.insert(job_code, code);
            return code;
        }
        self.dictionaries[column].code(header)
    }

    fn provider(&mut self, mta: i32, queue: i32, domain: i32) -> i32 {
        if (mta, queue, domain) == (NONE, NONE, NONE) {
            return NONE;
        }
        if let Some(code) = self.providers.get(&(mta, queue, domain)) {
            return *code;
        }
        let dict = &self.dictionaries;
        let (mta_word, queue_word, domain_word) = (
            dict[self.columns.dsn_mta].word(mta),
            dict[self.columns.queue].word(queue),
            dict[self.columns.recipient_domain].word(domain),
        );
        let provider = self.rules.providers.provider_of(mta_word, queue_word, domain_word);
        let code = self.dictionaries[self.columns.provider].code(provider);
        self.providers.insert((mta, queue, domain), code);
        code
    }

    /// The enhanced status and the SMTP code of a row.
    fn status(&mut self, cell: &str, diag: &str) -> (i32, Option<u16>) {
        if cell.is_empty() && diag.is_empty() {
            return (NONE, None);
        }
        let code = status::smtp_code(cell, diag);
        let raw = self.raw_status.code(cell);
        let column = self.columns.smtp_status;
        if raw != NONE {
            if let Some(status) = self.statuses.get(&raw) {
                return (*status, code);
            }
            if let Some(enhanced) = status::parse_status(cell).enhanced {
                let status = self.dictionaries[column].code(enhanced);
                self.statuses.insert(raw, status);
                return (status, code);
            }
        }
        let enhanced = status::smtp_status(cell, diag).unwrap_or_default();
        (self.dictionaries[column].code(enhanced), code)
    }
}

/// What the cells of a row say.
struct Said<'r> {
    record: RecordType,
    role: Role,
    kind: Kind,
    event_time: Option<Micros>,
    queued_time: Option<Micros>,
    job: &'r str,
    sender: &'r str,
    recipient: &'r str,
    queue: &'r str,
    diag: &'r str,
    env_id: &'r str,
    category: &'r str,
    source_ip: &'r str,
    /// The reporter's address of an f row; kept with the headers.
    foreign_ip: &'r str,
}

impl Said<'_> {
    fn date(&self) -> Option<i32> {
        self.event_time.or(self.queued_time).map(|time| i32::try_from(time.div_euclid(DAY)).unwrap_or(0))
    }

    /// Milliseconds from queued to logged, of deliveries and attempts; clocks may make them negative.
    fn latency(&self) -> Option<i64> {
        match (self.record, self.event_time, self.queued_time) {
            (RecordType::D | RecordType::T, Some(event), Some(queued)) => Some((event - queued) / 1000),
            _ => None,
        }
    }

    /// The key columns that the row fills (SPEC §2.6).
    fn filled(&self, status: bool) -> FillMask {
        let mut filled = FillMask::default();
        for (there, column) in [
            (self.queued_time.is_some(), KeyColumn::Queued),
            (!self.sender.is_empty(), KeyColumn::Sender),
            (!self.job.is_empty(), KeyColumn::Job),
            (!self.env_id.is_empty(), KeyColumn::EnvId),
            (!self.queue.is_empty(), KeyColumn::Queue),
            (!self.source_ip.is_empty(), KeyColumn::SourceIp),
            (status, KeyColumn::Status),
            (!self.diag.is_empty(), KeyColumn::Reply),
        ] {
            if there {
                filled.set(column);
            }
        }
        filled
    }
}

/// What follows from the cells of a row.
struct Derived {
    /// Column and code of every word.
    codes: [(usize, i32); 20],
    smtp_code: Option<u16>,
    is_rb: bool,
    filled: FillMask,
}

/// One record and its cells.
struct Row<'r> {
    text: &'r str,
    cells: &'r Cells,
    /// Its number among the file's rows, those put aside included.
    number: u64,
}

impl<'r> Row<'r> {
    fn text(&self, index: usize) -> &'r str {
        self.cells.of_text(self.text, index)
    }

    fn at(&self, index: Option<usize>) -> &'r str {
        index.map_or("", |index| self.text(index))
    }

    /// The first of several cells that holds something.
    fn first(&self, indexes: &[usize]) -> &'r str {
        match indexes {
            [] => "",
            [index] => self.text(*index),
            indexes => indexes.iter().map(|index| self.text(*index)).find(|text| !text.is_empty()).unwrap_or_default(),
        }
    }
}

/// An address without angle brackets and blanks.
fn bare_address(cell: &str) -> &str {
    cell.trim().trim_start_matches('<').trim_end_matches('>')
}

fn time_cell(memory: &mut time::Memory, cell: &str, column: &str) -> Result<Option<Micros>, String> {
    if cell.is_empty() {
        return Ok(None);
    }
    memory.parse(cell).map(Some).ok_or_else(|| format!("`{}` in column `{column}` is no time", short(cell)))
}

fn domain_word(words: &mut Words, address: &str) -> i32 {
    let Some(domain) = memchr::memrchr(b'@', address.as_bytes()).and_then(|at| address.get(at + 1..)) else {
        return NONE;
    };
    let plain =
        domain.bytes().fold(true, |plain, byte| plain & byte.is_ascii() & !byte.is_ascii_uppercase() & (byte != b'>'));
    if plain { words.code(domain.trim_end_matches('.')) } else { words.code(&domain_of(address)) }
}

/// The recipient's domain, else a `domain` column. Not the queue's: that may be a roll-up.
fn domain_code(words: &mut Words, recipient: &str, cell: &str) -> i32 {
    match domain_word(words, recipient) {
        NONE => words.code(&cell.to_lowercase()),
        code => code,
    }
}

/// The record type of rows in a file without a `type` column.
fn infer_type(name: NameRole, status: &str, action: &str) -> Option<RecordType> {
    let delivered =
        status.starts_with('2') || action.eq_ignore_ascii_case("relayed") || action.eq_ignore_ascii_case("delivered");
    let delayed = status.starts_with('4') || action.eq_ignore_ascii_case("delayed");
    match name {
        NameRole::Is(Role::Acct) if delivered => Some(RecordType::D),
        NameRole::Is(Role::Acct) if status.is_empty() && action.is_empty() => Some(RecordType::D),
        NameRole::Is(Role::Acct | Role::Bounce) => Some(RecordType::B),
        NameRole::Is(Role::Tran) if delivered && !delayed => Some(RecordType::D),
        NameRole::Is(Role::Tran) => Some(RecordType::T),
        NameRole::Is(Role::Fbl) => Some(RecordType::F),
        NameRole::Is(Role::Rb) => Some(RecordType::Rb),
        NameRole::Silent => None,
    }
}

/// The further columns as one JSON object; nothing where all are empty.
fn write_headers(out: &mut String, plan: &Plan, row: &Row<'_>, foreign_ip: &str) {
    let mut push = |key: &str, value: &str| {
        out.push(if out.is_empty() { '{' } else { ',' });
        out.push_str(key);
        push_json_string(out, value);
    };
    for (cell, key) in &plan.extras {
        let value = row.text(*cell);
        if !value.is_empty() {
            push(key, value);
        }
    }
    if !foreign_ip.is_empty() {
        push("\"dlvSourceIp\":", foreign_ip);
    }
    if !out.is_empty() {
        out.push('}');
    }
}

fn push_json_string(out: &mut String, text: &str) {
    // Without an early end the compiler looks at many bytes at a time.
    let plain = text.bytes().fold(true, |plain, byte| plain & (byte >= 0x20) & (byte != b'"') & (byte != b'\\'));
    if plain {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&serde_json::Value::String(text.to_owned()).to_string());
    }
}

/// Whether cells are of the kinds that their columns hold. Asked where a row has more or fewer cells
/// than the header: it may lack its last cell, or a cell in its middle.
fn plausible(plan: &Plan, row: &Row<'_>, width: usize) -> Result<(), String> {
    for (column, fits) in KINDS {
        let Some(index) = column_index(column) else { continue };
        for cell in &plan.sources[index] {
            let text = row.text(*cell);
            if !text.is_empty() && !fits(text) {
                let count = row.cells.len();
                return Err(format!(
                    "{count} cells where the header has {width}, and `{}` does not fit its column; a cell is missing or too many",
                    short(text)
                ));
            }
        }
    }
    let delivery = row.at(plan.dlv_type);
    if delivery.is_empty() || delivery.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-') {
        return Ok(());
    }
    Err(format!("{} cells where the header has {width}, and `{}` is no `dlvType`", row.cells.len(), short(delivery)))
}

/// A column, and what its cells look like.
type Looks = (&'static str, fn(&str) -> bool);

/// What some columns hold.
const KINDS: &[Looks] = &[
    ("event_time", |text| time::parse(text).is_some()),
    ("queued_time", |text| time::parse(text).is_some()),
    ("smtp_status", |text| text.trim_start().starts_with(|letter: char| letter.is_ascii_digit())),
    ("dsn_action", |text| text.bytes().all(|byte| byte.is_ascii_alphabetic())),
    ("sender", |text| text.contains('@') || text.starts_with('<')),
    ("recipient", |text| text.contains('@') || text.starts_with('<')),
    ("source_ip", is_address),
    ("destination_ip", is_address),
    ("size_bytes", |text| text.trim().bytes().all(|byte| byte.is_ascii_digit())),
    ("queue", |text| text.contains('/') || text.starts_with('{')),
];

/// Whether a cell is an IP address, perhaps in brackets.
fn is_address(text: &str) -> bool {
    text.trim().trim_matches(['[', ']', '(', ')']).parse::<std::net::IpAddr>().is_ok()
}

/// The beginning of a cell, for messages.
fn short(cell: &str) -> String {
    const LONGEST: usize = 40;
    if cell.chars().count() <= LONGEST { cell.to_owned() } else { cell.chars().take(LONGEST).chain(['…']).collect() }
}

/// Columns that only the decoder fills must exist; checked once by a test.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::COLUMNS;

    #[test]
    fn every_column_is_filled_once() {
        let c = Columns::find();
        assert_eq!(c.row_number, COLUMNS.len() - 1);
        assert_eq!(c.event_type, 0);
    }

    fn bits(types: &[RecordType]) -> u8 {
        types.iter().fold(0, |mask, record| mask | 1 << record.index())
    }

    #[test]
    fn a_file_takes_its_role_from_the_types_it_holds() {
        use RecordType::{B, D, F, R, Rb, Rs, T, Tq};
        let plan = |types: &[RecordType], name: &str| RolePlan::of(bits(types), NameRole::of(name));
        assert_eq!(plan(&[F], "acct.csv"), RolePlan::File(Role::Fbl));
        assert_eq!(plan(&[Rb, Rs], "x"), RolePlan::File(Role::Rb));
        assert_eq!(plan(&[T, Tq], "x"), RolePlan::File(Role::Tran));
        assert_eq!(plan(&[B], "x"), RolePlan::File(Role::Bounce));
        assert_eq!(plan(&[B], "acct-1.csv"), RolePlan::File(Role::Acct));
        assert_eq!(plan(&[D, B], "x"), RolePlan::File(Role::Acct));
        assert_eq!(plan(&[D, B, R], "tran-1.csv"), RolePlan::File(Role::Tran));
        assert_eq!(plan(&[D, B, T], "acct.csv"), RolePlan::Rows);
        assert_eq!(plan(&[D, F], "acct.csv"), RolePlan::Rows);
    }

    #[test]
    fn the_file_name_is_read_word_by_word() {
        assert_eq!(NameRole::of("dir/acct-2026-11-23-0000.csv.gz"), NameRole::Is(Role::Acct));
        assert_eq!(NameRole::of("mta3_bounces.csv"), NameRole::Is(Role::Bounce));
        assert_eq!(NameRole::of("harbour.csv"), NameRole::Silent);
    }
}
