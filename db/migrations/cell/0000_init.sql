CREATE TABLE `exec_history` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`sandbox_id` text NOT NULL,
	`at_ms` integer NOT NULL,
	`count` integer NOT NULL,
	`records` text NOT NULL
);
--> statement-breakpoint
CREATE INDEX `exec_history_sandbox` ON `exec_history` (`sandbox_id`,`id`);--> statement-breakpoint
CREATE INDEX `exec_history_at` ON `exec_history` (`at_ms`);--> statement-breakpoint
CREATE TABLE `runners` (
	`id` text PRIMARY KEY NOT NULL,
	`name` text NOT NULL,
	`installation_id` text NOT NULL,
	`secret_digest` text NOT NULL,
	`joined_at_ms` integer NOT NULL,
	`seen_at_ms` integer NOT NULL,
	`status` text NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX `runners_secret` ON `runners` (`secret_digest`);--> statement-breakpoint
CREATE TABLE `sandbox_events` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`sandbox_id` text NOT NULL,
	`at_ms` integer NOT NULL,
	`kind` text NOT NULL,
	`message` text NOT NULL
);
--> statement-breakpoint
CREATE INDEX `sandbox_events_sandbox` ON `sandbox_events` (`sandbox_id`,`id`);--> statement-breakpoint
CREATE TABLE `sandboxes` (
	`id` text PRIMARY KEY NOT NULL,
	`tenant_id` text NOT NULL,
	`template` text NOT NULL,
	`image` text NOT NULL,
	`state` text NOT NULL,
	`end_reason` text,
	`epoch` integer NOT NULL,
	`revision` integer NOT NULL,
	`last_op` text NOT NULL,
	`open_job` text,
	`open_job_deadline_ms` integer,
	`runner_id` text,
	`network` text NOT NULL,
	`cpus` real NOT NULL,
	`memory_mib` integer NOT NULL,
	`deadline_mode` text NOT NULL,
	`ttl_ms` integer NOT NULL,
	`expires_at_ms` integer,
	`metadata` text NOT NULL,
	`env` text NOT NULL,
	`idempotency_key` text,
	`idempotency_hash` text,
	`created_at_ms` integer NOT NULL,
	`started_at_ms` integer,
	`paused_at_ms` integer,
	`ended_at_ms` integer
);
--> statement-breakpoint
CREATE INDEX `sandboxes_tenant_created` ON `sandboxes` (`tenant_id`,`created_at_ms`,`id`);--> statement-breakpoint
CREATE INDEX `sandboxes_tenant_state` ON `sandboxes` (`tenant_id`,`state`);--> statement-breakpoint
CREATE INDEX `sandboxes_runner_state` ON `sandboxes` (`runner_id`,`state`);--> statement-breakpoint
CREATE INDEX `sandboxes_open_job` ON `sandboxes` (`open_job_deadline_ms`);--> statement-breakpoint
CREATE UNIQUE INDEX `sandboxes_idempotency` ON `sandboxes` (`tenant_id`,`idempotency_key`);