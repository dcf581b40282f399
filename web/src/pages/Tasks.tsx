export function Component() { return <h1>Tasks</h1>; }
