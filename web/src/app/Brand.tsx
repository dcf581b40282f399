import { Link } from 'react-router';

export function Brand() {
  return (
    <Link to="/" style={{ display: 'flex', alignItems: 'center', gap: 10, color: 'inherit', textDecoration: 'none', fontWeight: 650, fontSize: 15 }}>
      <img src="./icon.svg" alt="" width={24} height={24} />
      LLM Scheduler
    </Link>
  );
}
