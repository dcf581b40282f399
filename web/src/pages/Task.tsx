export function Component() { return <h1>Task</h1>; }
