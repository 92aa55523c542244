CREATE TABLE `snapshots` (
	`id` text PRIMARY KEY NOT NULL,
	`tenant_id` text NOT NULL,
	`sandbox_id` text NOT NULL,
	`runner_id` text NOT NULL,
	`purpose` text NOT NULL,
	`state` text NOT NULL,
	`name` text,
	`tag` text NOT NULL,
	`template` text NOT NULL,
	`image` text NOT NULL,
	`cpus` real NOT NULL,
	`memory_mib` integer NOT NULL,
	`memory_kept` integer NOT NULL,
	`size_bytes` integer NOT NULL,
	`content_bytes` integer NOT NULL,
	`multipart_id` text,
	`created_at_ms` integer NOT NULL,
	`sweep_at_ms` integer
);
--> statement-breakpoint
CREATE INDEX `snapshots_tenant` ON `snapshots` (`tenant_id`,`created_at_ms`,`id`);--> statement-breakpoint
CREATE UNIQUE INDEX `snapshots_name` ON `snapshots` (`tenant_id`,`name`,`tag`) WHERE state = 'ready' and name is not null;--> statement-breakpoint
CREATE INDEX `snapshots_sweep` ON `snapshots` (`sweep_at_ms`);