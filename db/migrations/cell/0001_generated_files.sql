CREATE TABLE `generated_files` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`sandbox_id` text NOT NULL,
	`at_ms` integer NOT NULL,
	`path` text NOT NULL
);
--> statement-breakpoint
CREATE INDEX `generated_files_sandbox` ON `generated_files` (`sandbox_id`,`id`);--> statement-breakpoint
CREATE INDEX `generated_files_at` ON `generated_files` (`at_ms`);