export function Component() { return <h1>DeadLetters</h1>; }
