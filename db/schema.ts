/** Two databases, no joins between them: so a region can be added without moving anything. */
export * as directory from './directory.ts';
export * as cell from './cell.ts';
